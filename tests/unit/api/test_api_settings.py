from pathlib import Path

import pytest
from estimatesync_api.core.access import ApiKey, KeyText, find_key, parse_api_keys
from estimatesync_api.settings import KeyFile, RepeatedRequests, Settings, parse_settings
from estimatesync_contract.settings import SettingsError

FIRST = "made-up-first-key-0"
SECOND = "made-up-second-key"


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        pytest.param({"API_KEYS": FIRST}, {FIRST: "key-1"}, id="one"),
        pytest.param({"API_KEYS": f"make:{FIRST}"}, {FIRST: "make"}, id="named"),
        pytest.param({"API_KEYS": f"make:{FIRST},{SECOND}"}, {FIRST: "make", SECOND: "key-2"}, id="commas"),
        pytest.param({"API_KEYS": f"\n  a:{FIRST}\r\n\n b:{SECOND}\n"}, {FIRST: "a", SECOND: "b"}, id="lines"),
        pytest.param({"API_KEY": FIRST}, {FIRST: "key-1"}, id="the singular"),
        pytest.param({"API_KEYS": FIRST, "API_KEY": SECOND}, {FIRST: "key-1", SECOND: "key-2"}, id="both variables"),
        pytest.param({"API_KEYS": "make:made:up:with:colons"}, {"made:up:with:colons": "make"}, id="colons in a key"),
    ],
)
def test_each_key_opens_the_api_under_its_name(environment: dict[str, str], names: dict[str, str]) -> None:
    keys = read_keys(parse_settings(environment))

    found = {key: find_key(keys, key) for key in names}
    assert {key: match.name for key, match in found.items() if match} == names


def test_read_only_keys_are_kept_apart() -> None:
    keys = read_keys(parse_settings({"API_KEYS": FIRST, "READ_ONLY_API_KEYS": SECOND}))

    assert [(key.name, key.is_read_only) for key in keys] == [("key-1", False), ("read-only-key-1", True)]


def read_keys(settings: Settings) -> tuple[ApiKey, ...]:
    return parse_api_keys(settings.keys.texts)[0]


@pytest.mark.parametrize(
    ("full", "read_only", "usable"),
    [
        pytest.param(f"a:{FIRST},b:short", "", {"a": False}, id="a short one"),
        pytest.param(f"b:short\na:{FIRST}\nb:also short", "", {"a": False}, id="short ones around it"),
        pytest.param(f"a:{FIRST},b:{SECOND}\u00e4", "", {"a": False}, id="beyond ASCII"),
        pytest.param(f"a:{FIRST},b:{SECOND} x", "", {"a": False}, id="a space"),
        pytest.param(f"a:{FIRST},a:{SECOND}", "", {"a": False}, id="a name again"),
        pytest.param(f"a:{FIRST},b:{FIRST}", "", {"a": False}, id="a key again"),
        pytest.param(f"a:{FIRST}", f"a:{SECOND}", {"a": False}, id="a name for both kinds"),
        pytest.param(f"a:{FIRST},b:{'x' * 15}", "", {"a": False}, id="one character too short"),
        pytest.param(f"a:{FIRST}", f"b:{FIRST}", {"b": True}, id="a key for both kinds may do less"),
        pytest.param("a:short", f"b:{SECOND}", {"b": True}, id="the only one of its text"),
        pytest.param(f"a:{FIRST},b:{SECOND},b:{FIRST}", "", {"a": False, "b": False}, id="a name and a key again"),
    ],
)
def test_a_fault_costs_only_the_key_that_it_is_about(full: str, read_only: str, usable: dict[str, bool]) -> None:
    texts = [KeyText(source="API_KEYS", text=full), KeyText(source="R", text=read_only, is_read_only=True)]

    keys, faults = parse_api_keys(texts)

    assert {key.name: key.is_read_only for key in keys} == usable
    assert faults


def test_a_key_of_both_kinds_may_do_less_wherever_it_comes_first() -> None:
    texts = [KeyText(source="R", text=f"b:{FIRST}", is_read_only=True), KeyText(source="API_KEYS", text=f"a:{FIRST}")]

    keys, _ = parse_api_keys(texts)

    assert [(key.name, key.is_read_only) for key in keys] == [("b", True)]


@pytest.mark.parametrize(
    ("source", "is_read_only", "names"),
    [
        pytest.param("API_KEYS", False, ["key-1", "a", "key-3"], id="a setting"),
        pytest.param("API_KEYS_FILE", False, ["file-key-1", "a", "file-key-3"], id="a file"),
        pytest.param("READ_ONLY_API_KEYS", True, ["read-only-key-1", "a", "read-only-key-3"], id="read-only"),
        pytest.param("READ_ONLY_API_KEYS_FILE", True, ["file-read-only-key-1", "a", "file-read-only-key-3"], id="both"),
    ],
)
def test_a_key_without_a_name_is_called_by_where_it_stands(
    source: str, *, is_read_only: bool, names: list[str]
) -> None:
    text = f"{FIRST}, a:{SECOND}\n  # {FIRST}: of last year\n\n{'x' * 16}"

    keys, faults = parse_api_keys([KeyText(source=source, text=text, is_read_only=is_read_only)])

    assert ([key.name for key in keys], faults) == (names, ())
    assert {key.is_read_only for key in keys} == {is_read_only}


@pytest.mark.parametrize(
    "presented", ["", FIRST[:-1], FIRST + "x", FIRST.upper(), f"make:{FIRST}", "make", "ä€\x00", "\udcff"]
)
def test_nothing_else_opens_it(presented: str) -> None:
    keys = read_keys(parse_settings({"API_KEYS": f"make:{FIRST}"}))

    assert find_key(keys, presented) is None


def test_defaults() -> None:
    settings = parse_settings({"API_KEYS": FIRST})

    assert (settings.time_zone.key, settings.namespace, settings.kubeconfig) == ("UTC", None, None)
    assert (settings.requests_per_minute, settings.foreground_seconds, settings.trusted_proxies) == (1200, 0, ())
    assert settings.repeated_requests is RepeatedRequests.JOIN


def test_files_of_keys_are_named_and_not_yet_read() -> None:
    settings = parse_settings({"API_KEYS_FILE": "/nowhere", "READ_ONLY_API_KEYS_FILE": "/nowhere else"})

    assert settings.keys.files == (
        KeyFile(source="API_KEYS_FILE", path=Path("/nowhere"), is_read_only=False),
        KeyFile(source="READ_ONLY_API_KEYS_FILE", path=Path("/nowhere else"), is_read_only=True),
    )


@pytest.mark.parametrize(
    ("environment", "fault"),
    [
        pytest.param({}, "API_KEYS is not set: give callers a key", id="no key"),
        pytest.param({"API_KEYS": " , \n"}, "API_KEYS is not set: give callers a key", id="only separators"),
        pytest.param(
            {"API_KEYS": "make:short"}, "keys of less than 16 characters, like the one named make", id="short"
        ),
        pytest.param({"API_KEYS": "made up with spaces"}, "the key named key-1 holds something else", id="spaces"),
        pytest.param(
            {"API_KEYS": f"a:{FIRST},a:{SECOND}"},
            "must not have the same name; there are several named a",
            id="one name",
        ),
        pytest.param({"API_KEYS": f"a:{FIRST},b:{FIRST}"}, "must not be given twice, as for a and b", id="one key"),
        pytest.param({"API_KEYS": FIRST, "TIME_ZONE": "Mars"}, "TIME_ZONE must be an IANA time zone", id="time zone"),
        pytest.param({"API_KEYS": FIRST, "READ_ONLY_API_KEYS": FIRST}, "given twice, as for key-1 and read-only-key-1"),
        pytest.param({"READ_ONLY_API_KEYS": "short"}, "READ_ONLY_API_KEYS must not hold keys of less", id="short too"),
        pytest.param({"API_KEYS": FIRST, "TRUSTED_PROXIES": "proxy"}, "TRUSTED_PROXIES must be networks", id="proxy"),
        pytest.param(
            {"API_KEYS": FIRST, "REPEATED_REQUESTS": "maybe"}, "REPEATED_REQUESTS must be one of join, start", id="word"
        ),
        pytest.param({"API_KEYS": FIRST, "FOREGROUND_SECONDS": "-1"}, "FOREGROUND_SECONDS must be a whole", id="bound"),
        pytest.param({"API_KEYS": FIRST, "REQUESTS_PER_MINUTE": "many"}, "REQUESTS_PER_MINUTE must be", id="rate"),
        pytest.param({"API_KEYS": FIRST, "NAMESPACE": "../etc"}, "NAMESPACE must be the name", id="namespace"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(environment: dict[str, str], fault: str) -> None:
    with pytest.raises(SettingsError, match=fault):
        parse_settings(environment)


def test_all_faults_come_together_and_no_key_is_shown() -> None:
    with pytest.raises(SettingsError) as caught:
        parse_settings({"API_KEYS": "make:s3cret-ä,t0p", "TIME_ZONE": "Mars", "NAMESPACE": "A"})

    assert len(caught.value.faults) == 5
    assert "s3cret" not in str(caught.value)
    assert "t0p" not in str(caught.value)


def test_settings_do_not_show_their_keys() -> None:
    settings = parse_settings({"API_KEYS": f"make:{FIRST}"})

    assert "KeyText(source='API_KEYS'" in repr(settings)
    assert FIRST not in repr(settings)
    assert "digest" not in repr(ApiKey(name="make", digest=b"digest", is_read_only=False))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("https://sync.example.com/", "https://sync.example.com", id="a slash at the end"),
        pytest.param("http://10.0.0.7:8080", "http://10.0.0.7:8080", id="in a network of one's own"),
        pytest.param("", "", id="not known"),
    ],
)
def test_the_public_address_is_an_origin(text: str, expected: str) -> None:
    assert parse_settings({"API_KEYS": FIRST, "PUBLIC_URL": text}).public_url == expected


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        pytest.param({"PUBLIC_URL": "https://example.com/sync"}, "without a path", id="a path"),
        pytest.param({"PUBLIC_URL": "sync.example.com"}, "an address such as https://sync.example.com", id="no scheme"),
        pytest.param({"PUBLIC_URL": "https://example.com?"}, "without credentials or query", id="an empty query"),
        pytest.param({"PUBLIC_URL": "https://example.com/#"}, "without credentials or query", id="an empty fragment"),
        pytest.param({"PUBLIC_URL": "https://me:s3cret@example.com"}, "without credentials", id="credentials"),
        pytest.param({"PUBLIC_URL": f"https://{'a.' * 126}com"}, "has a host name", id="a long host"),
        pytest.param({"PUBLIC_URL": "https://x.example", "STATUS_PAGE": "false"}, "STATUS_PAGE switches off", id="off"),
    ],
)
def test_a_public_address_that_leads_nowhere_is_refused(environment: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_settings({"API_KEYS": FIRST, **environment})

    (fault,) = caught.value.faults
    assert words in fault
    assert "s3cret" not in fault
