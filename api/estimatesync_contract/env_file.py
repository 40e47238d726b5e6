"""What a file of settings (`.env`) must be before its lines are read: text in UTF-8, and nobody else's to read. Pure.

Editors and shells on Windows write UTF-16 or the code page of the country; a parser then fails with a traceback, or
takes a password for another one.
"""

import codecs
import stat
from typing import Final

_UTF_16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_CURE: Final = "save it as UTF-8"


class EnvFileError(ValueError):
    """The file cannot be read as text; the message completes `FILE …` and shows nothing of a value."""


def decode_env_file(data: bytes) -> str:
    """Decode the bytes of the file; a mark in front of UTF-8 is dropped.

    Raises:
        EnvFileError: It is not UTF-8.
    """
    if data.startswith(_UTF_16_MARKS) or b"\0" in data:
        raise EnvFileError(f"is written in UTF-16, or is no text; {_CURE}, for example: iconv -f UTF-16 -t UTF-8")
    try:
        return data.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise EnvFileError(
            f"has characters in line {line} that are not UTF-8, as an editor writes them in Latin-1 (Windows-1252); "
            f"{_CURE}, for example: iconv -f WINDOWS-1252 -t UTF-8"
        ) from None


def is_open_to_others(mode: int) -> bool:
    """Return whether a file with this mode can be read by every account of the machine."""
    return bool(mode & stat.S_IROTH)
