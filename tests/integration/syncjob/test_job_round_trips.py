"""What a sync asks its database before it logs in takes one round trip: the server may be far away."""

import asyncio
import struct
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from estimatesync_job.adapters.database import open_postgres
from estimatesync_job.settings import parse_settings

_TERMINATE = b"X"


class Proxy:
    """Passes a session on to the server's socket and notes the types of the client's messages, whole ones only."""

    def __init__(self, socket_path: str) -> None:
        self.messages: list[bytes] = []
        self.sessions: list[asyncio.Task[None] | None] = []
        self._socket_path = socket_path

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.sessions.append(asyncio.current_task())
        from_server, to_server = await asyncio.open_unix_connection(self._socket_path)
        answers = asyncio.create_task(self._answer(from_server, writer))
        to_server.write(await self._read_startup(reader))
        while message := await reader.read(1):
            length = await reader.readexactly(4)
            body = await reader.readexactly(struct.unpack("!i", length)[0] - 4)
            to_server.write(message + length + body)
            if message == _TERMINATE:
                break
            self.messages.append(message)
        await answers
        to_server.close()
        await to_server.wait_closed()

    async def _read_startup(self, reader: asyncio.StreamReader) -> bytes:
        length = await reader.readexactly(4)
        return length + await reader.readexactly(struct.unpack("!i", length)[0] - 4)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while answer := await reader.read(65_536):
            writer.write(answer)
        writer.close()
        await writer.wait_closed()


@pytest.mark.usefixtures("no_tables")
@pytest.mark.parametrize("mode", ["Whole", "Changes"])
def test_tables_that_are_there_are_opened_in_one_round_trip_after_begin(database_url: str, mode: str) -> None:
    settings = parse_settings(
        {
            "SYNC_ID": "est-1",
            "SYNC_UID": "uid-1",
            "SYNC_MODE": mode,
            "SYNC_START_DATE": "2025-01-01",
            "SYNC_END_DATE": "2025-10-16",
            "ATTIC_TECH_EMAIL": "a@b.example",
            "ATTIC_TECH_PASSWORD": "made-up",
            "DATABASE_URL": "postgresql://db/x",
        }
    )
    url = urlsplit(database_url)
    proxy = Proxy(f"{parse_qs(url.query)['host'][0]}/.s.PGSQL.5432")

    async def open_twice() -> list[int]:
        server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        near = url._replace(netloc=f"{url.username}@127.0.0.1:{port}", query="sslmode=disable&gssencmode=disable")
        counts = []
        async with server:
            for _ in range(2):
                before = len(proxy.messages)
                async with open_postgres(replace(settings, database_url=near.geturl())):
                    counts.append(len(proxy.messages) - before)
            await asyncio.gather(*filter(None, proxy.sessions))
        return counts

    first, second = asyncio.run(open_twice())

    assert first > second
    assert second == 2
