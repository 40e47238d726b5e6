"""OpenTelemetry's own variables, checked where a mistake would otherwise be silent. Pure.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ has them all; those that are not
named here work as well, in the process that has them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from estimatesync_contract.environment_reader import EnvironmentReader

ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
HEADERS: Final = "OTEL_EXPORTER_OTLP_HEADERS"
SERVICE_NAME: Final = "OTEL_SERVICE_NAME"
SAMPLER: Final = "OTEL_TRACES_SAMPLER"
SAMPLER_ARGUMENT: Final = "OTEL_TRACES_SAMPLER_ARG"
RESOURCE: Final = "OTEL_RESOURCE_ATTRIBUTES"
DISABLED: Final = "OTEL_SDK_DISABLED"
SETTING_NAMES: Final = (ENDPOINT, HEADERS, SERVICE_NAME, SAMPLER, SAMPLER_ARGUMENT, RESOURCE, DISABLED)

_PROTOCOL: Final = "OTEL_EXPORTER_OTLP_PROTOCOL"
_DEFAULT_SAMPLER: Final = "parentbased_always_on"
_SAMPLERS: Final = frozenset(
    f"{prefix}{name}" for prefix in ("", "parentbased_") for name in ("always_on", "always_off", "traceidratio")
)


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
        """What the sync pods are told openly: no secret, and not the name of another part."""
        return {name: value for name, value in self.variables.items() if name not in {HEADERS, SERVICE_NAME}}


def read_tracing_settings(reader: EnvironmentReader) -> TracingSettings:
    """Read the settings; faults are left in the reader, and never hold a value."""
    variables = {name: value for name in SETTING_NAMES if (value := reader.read_text(name, ""))}
    if ENDPOINT not in variables or variables.get(DISABLED, "").lower() == "true":
        return TracingSettings()
    reader.read_choice(SAMPLER, _DEFAULT_SAMPLER, _SAMPLERS)
    reader.read_choice(_PROTOCOL, "http/protobuf", {"http/protobuf"})
    _check_ratio(reader)
    return TracingSettings(target=_read_target(reader), variables=variables)


def _read_target(reader: EnvironmentReader) -> str:
    try:
        parts = urlsplit(reader.read_text(ENDPOINT, ""))
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if is_usable and "@" not in parts.netloc:
        return f"{parts.scheme}://{parts.netloc}"
    reader.faults.append(f"{ENDPOINT} must be an address such as http://collector:4318, without credentials")
    return ""


def _check_ratio(reader: EnvironmentReader) -> None:
    try:
        is_share = 0 <= float(reader.read_text(SAMPLER_ARGUMENT, "1")) <= 1
    except ValueError:
        is_share = False
    if not is_share:
        reader.faults.append(f"{SAMPLER_ARGUMENT} must be a number from 0 to 1")
