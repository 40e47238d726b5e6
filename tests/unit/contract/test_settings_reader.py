import pytest
from estimatesync_contract.settings import (
    ChoiceSetting,
    FlagSetting,
    IntegerSetting,
    ParsedSetting,
    Setting,
    SettingsError,
    SettingsReader,
    TextSetting,
    TimeZoneSetting,
    UrlSetting,
    is_http_url,
)

TEXT = TextSetting(name="A", meaning="A text", default="default")
NUMBER = IntegerSetting(name="N", meaning="A number", default="1", minimum=1, maximum=9)
FLAG = FlagSetting(name="F", meaning="A flag", default="false")
ZONE = TimeZoneSetting(name="Z", meaning="A zone", default="UTC")
CHOICE = ChoiceSetting(name="C", meaning="A choice", default="text", choices=("text", "json"))
REQUIRED = TextSetting(name="URL", meaning="Where it is", cure="set it to the address", is_required=True)
PASSWORD = TextSetting(name="P", meaning="A password", is_secret=True, keeps_blanks=True)
ADDRESS = UrlSetting(name="U", meaning="Where it is", default="https://x.example", example="https://x.example")
OPTIONAL = IntegerSetting(name="O", meaning="A number, or none", minimum=1, maximum=9)
LENGTH: Setting[int] = ParsedSetting(name="L", meaning="A length", parser=len)


def test_values_are_read_and_blank_ones_count_as_not_set() -> None:
    reader = SettingsReader({"A": " text ", "N": "7", "F": "TRUE", "Z": "America/New_York", "BLANK": " "})

    assert reader.read(TEXT) == "text"
    assert reader.read(TextSetting(name="BLANK", meaning="Blank", default="default")) == "default"
    assert reader.read(NUMBER) == 7
    assert reader.read(FLAG) is True
    assert reader.read(ZONE).key == "America/New_York"
    assert reader.read(CHOICE) == "text"
    reader.raise_faults()


def test_what_is_not_set_has_its_default_or_the_empty_value_of_its_kind() -> None:
    reader = SettingsReader({})

    read = [reader.read(each) for each in (TEXT, NUMBER, FLAG, CHOICE, ADDRESS, PASSWORD, OPTIONAL, LENGTH)]

    assert read == ["default", 1, False, "text", "https://x.example", "", 0, 0]
    assert reader.faults == []


def test_all_faults_are_reported_together_and_no_value_is_repeated() -> None:
    wrong = {
        "N": "seven",
        "M": "²",
        "F": "yes",
        "Z": "Mars/Olympus",
        "C": "s3cret",
        "U": "https://u:s3cret@x",
        "O": "0",
    }
    reader = SettingsReader(wrong)

    reader.read(REQUIRED)
    reader.read(NUMBER)
    reader.read(IntegerSetting(name="M", meaning="A number", default="1", minimum=1, maximum=9))
    reader.read(FLAG)
    reader.read(ZONE)
    reader.read(CHOICE)
    reader.read(ADDRESS)
    reader.read(OPTIONAL)

    with pytest.raises(SettingsError) as caught:
        reader.raise_faults()
    assert caught.value.faults == [
        "URL is not set: set it to the address",
        "N must be a whole number from 1 to 9",
        "M must be a whole number from 1 to 9",
        "F must be true or false",
        "Z must be an IANA time zone, for example America/New_York",
        "C must be one of json, text",
        "U must be an address such as https://x.example, without credentials or query",
        "O must be a whole number from 1 to 9",
    ]
    assert "s3cret" not in str(caught.value)


def test_a_setting_that_is_read_twice_has_one_fault() -> None:
    reader = SettingsReader({"N": "0"})

    assert (reader.read(NUMBER), reader.read(NUMBER)) == (1, 1)
    assert len(reader.faults) == 1


def test_a_reader_of_some_settings_sees_no_others() -> None:
    reader = SettingsReader({"A": "text", "N": "none"}, only=["A"])

    assert (reader.read(TEXT), reader.read(NUMBER), reader.read_text(NUMBER)) == ("text", 1, "")
    assert reader.faults == []


def test_a_text_has_its_pattern_and_its_length() -> None:
    setting = TextSetting(name="A", meaning="Letters", pattern="[a-z]*", rule="must be letters", max_length=3)
    faults = [SettingsReader({"A": text}) for text in ("abc", "abcd", "a\nb")]

    assert [reader.read(setting) for reader in faults] == ["abc", "", ""]
    assert [reader.faults for reader in faults] == [
        [],
        ["A must be at most 3 characters long"],
        ["A must be letters"],
    ]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        pytest.param(" blank \r\n", " blank ", id="the line end of a file"),
        pytest.param(" \n", "", id="nothing but blanks"),
    ],
)
def test_a_password_keeps_its_blanks(given: str, read: str) -> None:
    assert SettingsReader({"P": given}).read(PASSWORD) == read


@pytest.mark.parametrize("zone", ["../etc/passwd", "/etc/passwd", "America", "a\0b"])
def test_a_path_is_not_a_time_zone(zone: str) -> None:
    reader = SettingsReader({"Z": zone})

    assert reader.read(ZONE).key == "UTC"
    assert len(reader.faults) == 1


@pytest.mark.parametrize(
    ("text", "is_url"),
    [
        pytest.param("https://x.example:8443/path?query", True, id="all parts"),
        pytest.param("http://[::1]:9", True, id="IPv6"),
        pytest.param("ftp://x.example", False, id="another scheme"),
        pytest.param("x.example", False, id="no scheme"),
        pytest.param("https:///path", False, id="no host"),
        pytest.param("https://x:0", False, id="port 0"),
        pytest.param("https://x:99999", False, id="no such port"),
        pytest.param("https://[::1", False, id="half an address"),
        pytest.param("https://a b", False, id="a blank"),
        pytest.param("https://x/\x07", False, id="a control code"),
        pytest.param("https://a..b", False, id="an empty label"),
        pytest.param("https://.x.example", False, id="an empty label in front"),
        pytest.param("https://x.example.", True, id="a dot at the end"),
        pytest.param("https://x.example..", False, id="two dots at the end"),
        pytest.param(f"https://{'a' * 64}.example", False, id="a long label"),
        pytest.param("https://" + "a." * 127 + "example", False, id="a long name"),
        pytest.param("https://under_score.example", True, id="an underscore"),
        pytest.param("https://b\u00fccher.example", True, id="an umlaut"),
        pytest.param("https://xn--bcher-kva.example", True, id="the same for DNS"),
        pytest.param("https://\uff45xample.com", False, id="a full-width letter"),
        pytest.param("https://example\u3002com", False, id="another full stop"),
        pytest.param("https://\u2603.example", False, id="a snowman"),
        pytest.param("https://a\u200db.example", False, id="a letter that nobody sees"),
        pytest.param("https://" + "\u00fc" * 60 + ".example", False, id="too long for DNS"),
        pytest.param("https://ex%61mple.com", False, id="an escape"),
        pytest.param("https://[::1%25eth0]:9", False, id="a zone"),
    ],
)
def test_a_url_is_one_that_can_be_called(text: str, *, is_url: bool) -> None:
    assert is_http_url(text) is is_url


@pytest.mark.parametrize("url", ["https://a..b", "https://\uff45xample.com/"])
def test_a_host_that_dns_cannot_carry_is_named_as_such(url: str) -> None:
    with pytest.raises(ValueError, match=r"host name that DNS cannot carry; .* xn--"):
        ADDRESS.parse(url)
