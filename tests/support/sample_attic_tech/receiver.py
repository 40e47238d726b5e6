"""A webhook that collects deliveries, as Make.com's custom webhook would; run it alone or inside a test.

`python -m sample_attic_tech.receiver --port 0 --log FILE` prints `{"url": …}` and appends each delivery to FILE.
"""

import argparse
import base64
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Condition
from typing import Any

import msgspec

from sample_attic_tech.server import Request, Response, add_port_options, running_server, serve_until_stopped

Delivery = Request
"""A delivery is the request that brought it: method, path, headers, raw body, time."""

ACCEPTED = Response(status=200, headers={"Content-Type": "text/plain"}, body=b"Accepted")
"""What Make.com answers once a delivery is queued."""


class Receiver:
    """A served webhook.

    Attributes:
        url: base URL, set once it listens; any path below it is taken.
        deliveries: what arrived so far, oldest first.
        answers: answers still to give, one each, before `Accepted` for all the rest; append at any time.
    """

    def __init__(self, answers: Iterable[Response] = (), on_delivery: Callable[[Delivery], None] | None = None) -> None:
        """Script the first answers; `running_receiver` serves it."""
        self.url = ""
        self.deliveries: list[Delivery] = []
        self.answers = list(answers)
        self._on_delivery = on_delivery
        self._arrived = Condition()

    def respond(self, delivery: Delivery) -> Response:
        """Record a delivery before it is answered, so that a sender that got its answer finds it recorded."""
        with self._arrived:
            self.deliveries.append(delivery)
            if self._on_delivery is not None:
                self._on_delivery(delivery)
            self._arrived.notify_all()
            return self.answers.pop(0) if self.answers else ACCEPTED

    def wait_for(self, count: int, timeout: float) -> list[Delivery]:
        """Return the deliveries once there are at least `count`.

        Args:
            count: how many deliveries to wait for, those already here included.
            timeout: seconds.

        Raises:
            TimeoutError: when fewer arrived in time.
        """
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.deliveries) >= count, timeout):
                raise TimeoutError(f"{len(self.deliveries)} of {count} deliveries arrived within {timeout} s.")
            return list(self.deliveries)


@contextmanager
def running_receiver(
    answers: Iterable[Response] = (),
    *,
    on_delivery: Callable[[Delivery], None] | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> Iterator[Receiver]:
    """Serve a receiver over real sockets, in threads of this process, until the block ends."""
    receiver = Receiver(answers, on_delivery)
    with running_server(receiver.respond, host=host, port=port) as url:
        receiver.url = url
        yield receiver


def to_delivery_object(delivery: Delivery) -> dict[str, Any]:
    """Build the log line: `body` to read, `body_base64` for the exact bytes that a signature covers."""
    return {
        "method": delivery.method,
        "path": delivery.path,
        "headers": dict(delivery.headers),
        "body": delivery.body.decode(errors="replace"),
        "body_base64": base64.b64encode(delivery.body).decode(),
        "received_at": delivery.received_at.isoformat(),
    }


def append_delivery(log: Path, delivery: Delivery) -> None:
    """Append one JSON line."""
    with log.open("ab") as lines:
        lines.write(msgspec.json.encode(to_delivery_object(delivery)) + b"\n")


def main() -> None:
    """Run the receiver until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m sample_attic_tech.receiver", description="Collects callbacks.")
    parser.add_argument("--host", default="127.0.0.1")
    add_port_options(parser, default=0)
    parser.add_argument("--log", type=Path, required=True, help="file that gets one JSON line per delivery")
    options = parser.parse_args()
    on_delivery = partial(append_delivery, options.log)
    serving = running_receiver(on_delivery=on_delivery, host=options.host, port=options.port)
    serve_until_stopped(serving, port=options.port, port_setting=options.port_setting)


if __name__ == "__main__":
    main()
