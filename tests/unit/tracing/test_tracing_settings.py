from collections.abc import Mapping

import pytest
from estimatesync_contract.settings import SettingsReader
from estimatesync_tracing.settings import TracingSettings, read_tracing_settings
from estimatesync_tracing.setup import NO_TRACER, create_tracer

ON = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.test:4318/base"}
SECRET = "authorization=made-up-token"


def read(environment: Mapping[str, str]) -> tuple[TracingSettings, list[str]]:
    reader = SettingsReader(environment)
    return read_tracing_settings(reader), reader.faults


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({}, id="nothing said"),
        pytest.param({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, id="blank"),
        pytest.param({**ON, "OTEL_SDK_DISABLED": "True"}, id="switched off"),
        pytest.param({"OTEL_TRACES_SAMPLER": "always_on"}, id="no collector"),
    ],
)
def test_nothing_is_traced_unless_a_collector_is_named(environment: dict[str, str]) -> None:
    settings, faults = read(environment)

    assert (settings, faults) == (TracingSettings(), [])
    assert create_tracer(settings, part="api", warn=pytest.fail) is NO_TRACER


def test_a_collector_switches_it_on_and_its_secret_stays_out_of_sight() -> None:
    given = {**ON, "OTEL_EXPORTER_OTLP_HEADERS": SECRET, "OTEL_SERVICE_NAME": "us", "OTEL_TRACES_SAMPLER": "always_on"}

    settings, faults = read({**given, "OTHER": "x"})

    assert (settings.target, settings.variables, faults) == ("http://collector.test:4318", given, [])
    assert settings.public_variables == {**ON, "OTEL_TRACES_SAMPLER": "always_on"}
    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", id="no scheme"),
        pytest.param("OTEL_EXPORTER_OTLP_ENDPOINT", "https://user:made-up-token@collector.test", id="credentials"),
        pytest.param("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:made-up-token", id="no port"),
        pytest.param("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", id="a protocol that is not spoken"),
        pytest.param("OTEL_TRACES_SAMPLER", "sometimes", id="no sampler"),
        pytest.param("OTEL_TRACES_SAMPLER_ARG", "1.5", id="more than everything"),
        pytest.param("OTEL_TRACES_SAMPLER_ARG", "half", id="no number"),
    ],
)
def test_what_would_silently_not_work_is_a_fault_that_names_the_variable(name: str, value: str) -> None:
    _, faults = read({**ON, name: value})

    assert [fault.split()[0] for fault in faults] == [name]
    assert "made-up-token" not in faults[0]
