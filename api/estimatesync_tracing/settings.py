"""OpenTelemetry's own variables, checked where a mistake would otherwise be silent. Pure.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ has them all; those that are not
named here work as well, in the process that has them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from estimatesync_contract.settings import ChoiceSetting, ParsedSetting, SettingsReader, TextSetting, UrlSetting


def _parse_share(text: str) -> float:
    try:
        share = float(text or 1)
    except ValueError:
        share = -1
    if 0 <= share <= 1:
        return share
    raise ValueError("must be a number from 0 to 1")


ENDPOINT: Final = UrlSetting(
    name="OTEL_EXPORTER_OTLP_ENDPOINT",
    meaning="Where OpenTelemetry's collector accepts OTLP over HTTP, such as `http://127.0.0.1:4318`; nothing is "
    "traced without it",
    example="http://collector:4318",
)
HEADERS: Final = TextSetting(
    name="OTEL_EXPORTER_OTLP_HEADERS",
    meaning="Headers that the collector requires: `name=value`, separated by commas",
    is_secret=True,
)
SAMPLER: Final = ChoiceSetting(
    name="OTEL_TRACES_SAMPLER",
    meaning="Which of the traces that begin here are recorded: `parentbased_always_on`, or `parentbased_traceidratio` "
    "for a share of them; by default `parentbased_always_on`",
    choices=tuple(
        f"{prefix}{name}" for prefix in ("", "parentbased_") for name in ("always_on", "always_off", "traceidratio")
    ),
)
SAMPLER_ARGUMENT: Final = ParsedSetting(
    name="OTEL_TRACES_SAMPLER_ARG", meaning="That share, from 0 to 1", parser=_parse_share
)
SERVICE_NAME: Final = TextSetting(
    name="OTEL_SERVICE_NAME",
    meaning="One name for all parts; otherwise they are `estimatesync-api`, `estimatesync-operator` and "
    "`estimatesync-sync`",
)
RESOURCE: Final = TextSetting(
    name="OTEL_RESOURCE_ATTRIBUTES", meaning="Attributes of every span, `name=value`, separated by commas"
)
DISABLED: Final = TextSetting(name="OTEL_SDK_DISABLED", meaning="`true` switches tracing off, whatever else is set")
TRACING_SETTINGS: Final = (ENDPOINT, HEADERS, SAMPLER, SAMPLER_ARGUMENT, SERVICE_NAME, RESOURCE, DISABLED)

_PROTOCOL: Final = ChoiceSetting(
    name="OTEL_EXPORTER_OTLP_PROTOCOL", meaning="The only protocol that is supported", choices=("http/protobuf",)
)
_NOT_FOR_OTHER_PARTS: Final = {HEADERS.name, SERVICE_NAME.name}


@dataclass(frozen=True, kw_only=True)
class TracingSettings:
    """Whether and where spans are sent.

    Attributes:
        target: scheme, host and port of the collector, for people; empty when tracing is off.
        variables: as they were given, for programs that are started in turn.
    """

    target: str = ""
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def is_on(self) -> bool:
        """True when spans are sent."""
        return bool(self.target)

    @property
    def public_variables(self) -> dict[str, str]:
        """What sync pods get in plain text: no secret, and not the name of another part."""
        return {name: value for name, value in self.variables.items() if name not in _NOT_FOR_OTHER_PARTS}


def read_tracing_settings(reader: SettingsReader) -> TracingSettings:
    """Read the settings; faults are left in the reader, and never hold a value."""
    variables = {each.name: text for each in TRACING_SETTINGS if (text := reader.read_text(each))}
    if ENDPOINT.name not in variables or variables.get(DISABLED.name, "").lower() == "true":
        return TracingSettings()
    for each in (SAMPLER, SAMPLER_ARGUMENT, _PROTOCOL):
        reader.read(each)
    parts = urlsplit(reader.read(ENDPOINT))
    return TracingSettings(target=f"{parts.scheme}://{parts.netloc}" if parts.netloc else "", variables=variables)
