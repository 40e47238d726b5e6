import pytest
from estimatesync_api.keys import ApiKey, find_key_name
from estimatesync_api.settings import parse_settings
from estimatesync_contract.environment_reader import SettingsError

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
    settings = parse_settings(environment)

    assert {key: find_key_name(settings.api_keys, key) for key in names} == names


@pytest.mark.parametrize("presented", ["", FIRST[:-1], FIRST + "x", FIRST.upper(), f"make:{FIRST}", "make", "ä€\x00"])
def test_nothing_else_opens_it(presented: str) -> None:
    keys = parse_settings({"API_KEYS": f"make:{FIRST}"}).api_keys

    assert find_key_name(keys, presented) is None


def test_defaults() -> None:
    settings = parse_settings({"API_KEYS": FIRST})

    assert (settings.time_zone.key, settings.namespace, settings.kubeconfig) == ("UTC", None, None)


@pytest.mark.parametrize(
    ("environment", "fault"),
    [
        pytest.param({}, "API_KEYS is not set: give callers a key", id="no key"),
        pytest.param({"API_KEYS": " , \n"}, "API_KEYS is not set: give callers a key", id="only separators"),
        pytest.param(
            {"API_KEYS": "make:short"}, "keys of less than 16 characters, like the one named make", id="short"
        ),
        pytest.param({"API_KEYS": "made up with spaces"}, "the key named key-1 holds something else", id="spaces"),
        pytest.param({"API_KEYS": f"a:{FIRST},a:{SECOND}"}, "must not give two keys the same name", id="one name"),
        pytest.param({"API_KEYS": f"a:{FIRST},b:{FIRST}"}, "must not hold the same key twice", id="one key"),
        pytest.param({"API_KEYS": FIRST, "TIME_ZONE": "Mars"}, "TIME_ZONE must be an IANA time zone", id="time zone"),
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

    assert "ApiKey(name='make')" in repr(settings)
    assert repr(ApiKey(name="make", digest=b"digest")) == "ApiKey(name='make')"
