"""The entry point of the console script `estimatesync`.

Everything else is imported late, so that a missing extra is reported in words.
"""

import io
import os
import sys

from estimatesync_contract.tls_trust import name_system_authorities


def main() -> int:
    """Run the command line and return its exit code."""
    try:
        from estimatesync_client.command_line import run  # noqa: PLC0415 - its libraries may be missing
    except ModuleNotFoundError as error:
        print(f"{error.name} is not installed. Install the client: pip install 'estimatesync[client]'", file=sys.stderr)
        return 1
    name_system_authorities(os.environ)
    # The output contains characters beyond ASCII, whatever the locale.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    return run()


if __name__ == "__main__":
    sys.exit(main())
