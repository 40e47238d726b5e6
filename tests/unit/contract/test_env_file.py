"""Files of settings as editors write them."""

import codecs

import pytest
from estimatesync_contract.env_file import EnvFileError, decode_env_file, is_open_to_others

TEXT = "A=1\nATTIC_TECH_PASSWORD=schl\u00fcssel\n"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(TEXT.encode(), id="UTF-8"),
        pytest.param(codecs.BOM_UTF8 + TEXT.encode(), id="UTF-8 with a mark"),
    ],
)
def test_utf_8_is_read(data: bytes) -> None:
    assert decode_env_file(data) == TEXT


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(TEXT.encode("utf-16"), "UTF-16.* iconv -f UTF-16", id="UTF-16 with a mark"),
        pytest.param(codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"), "UTF-16", id="the other way round"),
        pytest.param(TEXT.encode("utf-16-le"), "UTF-16", id="UTF-16 without a mark"),
        pytest.param(TEXT.encode("utf-32"), "UTF-16, or is no text", id="UTF-32"),
        pytest.param(TEXT.encode("latin-1"), "line 2 .*save it as UTF-8", id="Latin-1"),
        pytest.param("A=\u201cx\u201d".encode("cp1252"), "line 1", id="Windows-1252"),
        pytest.param(b"\x1f\x8b\x08\x00", "no text", id="a packed file"),
    ],
)
def test_anything_else_is_named_with_a_cure_and_without_a_value(data: bytes, said: str) -> None:
    with pytest.raises(EnvFileError, match=said) as caught:
        decode_env_file(data)

    assert "schl" not in str(caught.value)


@pytest.mark.parametrize(
    ("mode", "is_open"), [(0o100600, False), (0o100640, False), (0o100644, True), (0o100604, True)]
)
def test_a_file_is_open_when_every_account_can_read_it(mode: int, *, is_open: bool) -> None:
    assert is_open_to_others(mode) is is_open
