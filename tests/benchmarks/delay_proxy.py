"""A distance: passes a TCP connection on to PostgreSQL's socket, each byte late by half a round trip.

The runner starts it as a process of its own for the scenarios whose database is far away, and reads `{"port": …}` from
its output. Bandwidth is not limited: bytes that follow each other stay as close as they were.
Run: `python delay_proxy.py SOCKET_PATH ROUND_TRIP_MS`.
"""

import asyncio
import json
import socket
import sys
from contextlib import suppress
from typing import Final

_CHUNK: Final = 262_144


async def serve(socket_path: str, one_way_seconds: float) -> None:
    """Listen on a free port, say which, and serve until the process is ended."""

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(socket_path)
        await asyncio.gather(
            _pass_on(reader, far_writer, one_way_seconds), _pass_on(far_reader, writer, one_way_seconds)
        )

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sys.stdout.write(json.dumps({"port": port}) + "\n")
    sys.stdout.flush()
    await server.serve_forever()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Write every chunk when its time has come; timers of one delay keep the order in which they were set."""
    plain: socket.socket = writer.get_extra_info("socket")
    if plain.family != socket.AF_UNIX:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    loop = asyncio.get_running_loop()
    with suppress(ConnectionError):
        while chunk := await reader.read(_CHUNK):
            loop.call_later(seconds, writer.write, chunk)
    loop.call_later(seconds, writer.close)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(sys.argv[1], float(sys.argv[2]) / 2000))
