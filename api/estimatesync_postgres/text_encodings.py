"""Which texts the encoding of a database can hold (https://www.postgresql.org/docs/current/multibyte.html).

The server converts what it is sent from UTF-8, and refuses a character that its database cannot hold: the whole COPY,
long after the record that has it. Python's codecs know the same characters, so that the record can be found before.
"""

from collections.abc import Mapping
from typing import Final

COMPLETE: Final = frozenset({"UTF8", "SQL_ASCII"})
"""Hold every text; the second takes all bytes as they come."""

_CODECS: Final[Mapping[str, str]] = {
    "EUC_CN": "gb2312",
    "EUC_JIS_2004": "euc_jis_2004",
    "EUC_JP": "euc_jp",
    "EUC_KR": "euc_kr",
    "ISO_8859_5": "iso8859-5",
    "ISO_8859_6": "iso8859-6",
    "ISO_8859_7": "iso8859-7",
    "ISO_8859_8": "iso8859-8",
    "KOI8R": "koi8-r",
    "KOI8U": "koi8-u",
    "LATIN1": "iso8859-1",
    "LATIN2": "iso8859-2",
    "LATIN3": "iso8859-3",
    "LATIN4": "iso8859-4",
    "LATIN5": "iso8859-9",
    "LATIN6": "iso8859-10",
    "LATIN7": "iso8859-13",
    "LATIN8": "iso8859-14",
    "LATIN9": "iso8859-15",
    "LATIN10": "iso8859-16",
    "WIN1250": "cp1250",
    "WIN1251": "cp1251",
    "WIN1252": "cp1252",
    "WIN1253": "cp1253",
    "WIN1254": "cp1254",
    "WIN1255": "cp1255",
    "WIN1256": "cp1256",
    "WIN1257": "cp1257",
    "WIN1258": "cp1258",
    "WIN866": "cp866",
    "WIN874": "cp874",
}
"""By PostgreSQL's name; of the few others only the server knows what they hold."""


def can_hold(encoding: str, text: str) -> bool:
    """Return whether a database with this encoding can hold a text, as far as that can be told without it."""
    codec = _CODECS.get(encoding)
    if codec is None:
        return True
    try:
        text.encode(codec)
    except UnicodeEncodeError:
        return False
    return True
