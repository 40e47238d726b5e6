"""Prints a demo: steps, facts, quotations, and one line of progress that moves."""

import json
import sys
from collections.abc import Iterable


def print_step(title: str) -> None:
    """Begin a new part of the demo."""
    print(f"\n▶ {title}", flush=True)


def print_fact(text: str) -> None:
    """Print one line of what happens."""
    print(f"  {text}", flush=True)


def quote(lines: Iterable[str], *, max_lines: int = 12) -> None:
    """Print the output of something else, the middle left out when it is long."""
    shown = list(lines)
    if len(shown) > max_lines:
        half = max_lines // 2
        shown = [*shown[:half], f"… {len(shown) - 2 * half} lines …", *shown[-half:]]
    for line in shown:
        print(f"  │ {line}", flush=True)


def quote_json(body: object) -> None:
    """Show a JSON body."""
    quote(json.dumps(body, indent=2, ensure_ascii=False).splitlines(), max_lines=40)


class ProgressLine:
    """One line that is rewritten in a terminal, and printed once per change elsewhere."""

    def __init__(self) -> None:
        self._last = ""

    def show(self, text: str) -> None:
        """Show a text, unless it is shown already."""
        if text == self._last:
            return
        self._last = text
        if sys.stdout.isatty():
            print(f"\r\x1b[K  {text}", end="", flush=True)
        else:
            print_fact(text)

    def end(self) -> None:
        """Leave the line as it is."""
        if self._last and sys.stdout.isatty():
            print(flush=True)
