"""The address and the key: what is taken, what is refused, and that no key is ever shown."""

from pathlib import Path

import pytest
from estimatesync_client.core.errors import UsageError
from estimatesync_client.settings import DEFAULT_URL, parse_address, parse_key


@pytest.mark.parametrize(
    ("text", "url", "is_encrypted", "is_here"),
    [
        pytest.param("", DEFAULT_URL, False, True, id="blank"),
        pytest.param("https://sync.example.com/", "https://sync.example.com", True, False, id="slash at the end"),
        pytest.param("https://example.com/sync", "https://example.com/sync", True, False, id="path of a proxy"),
        pytest.param("http://localhost:9", "http://localhost:9", False, True, id="localhost"),
        pytest.param("http://[::1]:9", "http://[::1]:9", False, True, id="IPv6"),
    ],
)
def test_an_address_is_read(text: str, url: str, *, is_encrypted: bool, is_here: bool) -> None:
    address = parse_address(text)

    assert (address.url, address.is_encrypted, address.is_here) == (url, is_encrypted, is_here)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("sync.example.com", id="no scheme"),
        pytest.param("ftp://sync.example.com", id="wrong scheme"),
        pytest.param("https://", id="no host"),
        pytest.param("https://x:port", id="no port"),
        pytest.param("https://x:0", id="port 0"),
        pytest.param("https://[::1", id="half an address"),
        pytest.param("https://a..b", id="a name with a hole"),
        pytest.param(f"https://{'a' * 80}", id="a name that is too long"),
        pytest.param("https://a b", id="a blank"),
        pytest.param("https://user:secret-of-a-test@x", id="a password"),
        pytest.param("https://x?key=secret-of-a-test", id="a query"),
    ],
)
def test_an_address_that_cannot_be_used_is_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_address(text)

    assert "ESTIMATESYNC_URL" in raised.value.message
    assert "secret-of-a-test" not in f"{raised.value.message}{raised.value.cure}"


def test_a_key_is_read_without_the_line_end_of_its_file_and_never_shown() -> None:
    key = parse_key({"ESTIMATESYNC_API_KEY": "made-up-key-0123456789\n"})

    assert key.value == "made-up-key-0123456789"
    assert "made-up" not in repr(key)


KEYS = "# the callers\nmake:made-up-key-0123456789\n\nschedules:made-up-key-9876543210,made-up-key-without-name\n"


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        pytest.param("made-up-key-0123456789\n", "", "made-up-key-0123456789", id="a key alone"),
        pytest.param(KEYS, "", "made-up-key-0123456789", id="the first of several"),
        pytest.param(KEYS, "schedules", "made-up-key-9876543210", id="the named one"),
    ],
)
def test_a_key_is_found_in_the_file_that_the_api_reads_its_own_from(
    tmp_path: Path, text: str, name: str, expected: str
) -> None:
    file = tmp_path / "API_KEYS"
    file.write_text(text)
    environment = {"ESTIMATESYNC_API_KEY_FILE": str(file), "ESTIMATESYNC_API_KEY_NAME": name}

    assert parse_key(environment).value == expected
    assert parse_key({**environment, "ESTIMATESYNC_API_KEY": "made-up-key-that-wins"}).value == "made-up-key-that-wins"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(None, "cannot be read: No such file or directory", id="no file"),
        pytest.param("# nothing yet\n", "holds no key named night", id="nothing in it"),
        pytest.param(KEYS, "holds no key named night", id="another name"),
    ],
)
def test_a_file_without_the_key_is_named_and_not_shown(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "API_KEYS"
    if text is not None:
        file.write_text(text)

    with pytest.raises(UsageError, match=said) as raised:
        parse_key({"ESTIMATESYNC_API_KEY_FILE": str(file), "ESTIMATESYNC_API_KEY_NAME": "night"})

    assert "made-up-key" not in f"{raised.value.message}{raised.value.cure}"


@pytest.mark.parametrize(
    ("value", "said"),
    [pytest.param("  ", "is not set", id="blank"), pytest.param("schlüssel", "no key has", id="beyond ASCII")],
)
def test_a_key_that_no_request_can_carry_is_named(value: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_key({"ESTIMATESYNC_API_KEY": value})
