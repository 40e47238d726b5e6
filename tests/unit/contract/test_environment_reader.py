import pytest
from estimatesync_contract.environment_reader import EnvironmentReader, SettingsError


def test_values_are_read_and_blank_ones_count_as_not_set() -> None:
    reader = EnvironmentReader({"A": " text ", "N": "7", "F": "TRUE", "Z": "America/New_York", "BLANK": " "})

    assert reader.read_text("A", "") == "text"
    assert reader.read_text("BLANK", "default") == "default"
    assert reader.read_integer("N", 1, low=1, high=9) == 7
    assert reader.read_flag("F", default=False) is True
    assert reader.read_time_zone("Z", "UTC").key == "America/New_York"
    assert reader.read_choice("C", "text", {"text", "json"}) == "text"
    reader.raise_faults()


def test_all_faults_are_reported_together_and_no_value_is_repeated() -> None:
    reader = EnvironmentReader({"N": "seven", "M": "²", "F": "yes", "Z": "Mars/Olympus", "C": "s3cret"})

    reader.read_required("URL", "set it to the address")
    reader.read_integer("N", 1, low=1, high=9)
    reader.read_integer("M", 1, low=1, high=9)
    reader.read_flag("F", default=False)
    reader.read_time_zone("Z", "UTC")
    reader.read_choice("C", "text", {"text", "json"})

    with pytest.raises(SettingsError) as caught:
        reader.raise_faults()
    assert caught.value.faults == [
        "URL is not set: set it to the address",
        "N must be a whole number from 1 to 9",
        "M must be a whole number from 1 to 9",
        "F must be true or false",
        "Z must be an IANA time zone, for example America/New_York",
        "C must be one of json, text",
    ]
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("zone", ["../etc/passwd", "/etc/passwd", "America", "a\0b"])
def test_a_path_is_not_a_time_zone(zone: str) -> None:
    reader = EnvironmentReader({"Z": zone})

    assert reader.read_time_zone("Z", "UTC").key == "UTC"
    assert len(reader.faults) == 1
