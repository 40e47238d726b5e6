"""Splits a page whose JSON a decoder refuses, so that a broken record is one broken record and not a broken page.

The decoder reads a page in one go: half a surrogate pair, a stray byte order mark or thousands of levels of nesting in
one record would refuse them all. Here brackets outside of texts are counted and nothing else is judged, so that each
record can be judged by itself. `responses` calls it only after the decoder has refused.
"""

import re
from collections.abc import Iterator
from typing import Final

_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{},:]', re.DOTALL)
"""A text, or a sign that gives JSON its structure; whatever stands in between belongs to a value.

A text without an end goes on to that of the body: were it none, each quote in it would be tried as another beginning.
"""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_NUMBER: Final = re.compile(rb"-?\d{1,20}")
_PLAIN_TEXT: Final = re.compile(rb'"[0-9A-Za-z_-]{1,64}"')


def strip_byte_order_mark(body: bytes | bytearray) -> bytes | bytearray:
    """Drop the mark that some servers begin a body with; RFC 8259, section 8.1, lets a reader ignore it."""
    return body[len(_BYTE_ORDER_MARK) :] if body.startswith(_BYTE_ORDER_MARK) else body  # noqa: FURB188 - would copy a bytearray


def split_page(body: bytes, *, member: bytes = b"docs") -> tuple[bytes, tuple[bytes, ...]] | None:
    """Split the list of a page from the rest of it.

    Args:
        body: the page, an object.
        member: the name of the list.

    Returns:
        The page with an empty list, and the elements; None where there is no such list, or it has no end.
    """
    tokens = _TOKEN.finditer(body)
    start = _find_list(tokens, member)
    if start is None:
        return None
    elements: list[bytes] = []
    depth, begin = 1, start
    for token in tokens:
        depth += _compute_step(token[0])
        if depth == 0 or (depth == 1 and token[0] == b","):
            elements.append(bytes(strip_byte_order_mark(body[begin : token.start()].strip())))
            begin = token.end()
        if depth == 0:
            return body[:start] + body[token.start() :], tuple(elements) if elements != [b""] else ()
    return None


def find_id(record: bytes) -> int | str | None:
    """Find the id of a record that cannot be decoded; None where it is neither a number nor a plain text."""
    depth, key, place = 0, b"", 0
    for token in _TOKEN.finditer(record):
        sign = token[0]
        if depth == 1 and key == b'"id":':
            return _read_id(record[place : token.start()].strip() or sign)
        depth += _compute_step(sign)
        key = key + sign if sign == b":" else sign
        place = token.end()
    return None


def _read_id(value: bytes) -> int | str | None:
    text = value.strip()
    if _NUMBER.fullmatch(text):
        return int(text)
    return text[1:-1].decode() if _PLAIN_TEXT.fullmatch(text) else None


def _find_list(tokens: Iterator[re.Match[bytes]], member: bytes) -> int | None:
    """Find where the elements of a member's list begin."""
    depth, key = 0, b""
    for token in tokens:
        sign = token[0]
        if depth == 1 and sign == b"[" and key == b'"%s":' % member:
            return token.end()
        depth += _compute_step(sign)
        key = key + sign if sign == b":" else sign
    return None


def _compute_step(sign: bytes) -> int:
    """Compute by how much a token changes the depth."""
    return 1 if sign in {b"[", b"{"} else -1 if sign in {b"]", b"}"} else 0
