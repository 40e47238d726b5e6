"""The settings of tracing as people are told of them, the same for every part; `settings` reads them."""

from typing import Final

from estimatesync_contract.setting import Setting

from estimatesync_tracing import settings as names

TRACING_SETTINGS: Final = (
    Setting(
        name=names.ENDPOINT,
        meaning="Where OpenTelemetry's collector takes OTLP over HTTP, such as `http://127.0.0.1:4318`; nothing is "
        "traced without it",
    ),
    Setting(name=names.HEADERS, meaning="What lets spans in there: `name=value`, separated by commas", is_secret=True),
    Setting(
        name=names.SAMPLER,
        meaning="Which of the traces that begin here are kept: `parentbased_always_on`, or `parentbased_traceidratio` "
        "for a share of them; `parentbased_always_on` unless told otherwise",
    ),
    Setting(name=names.SAMPLER_ARGUMENT, meaning="That share, from 0 to 1"),
    Setting(
        name=names.SERVICE_NAME,
        meaning="One name for all parts; otherwise they are `estimatesync-api`, `estimatesync-operator` and "
        "`estimatesync-sync`",
    ),
    Setting(name=names.RESOURCE, meaning="Attributes of every span, `name=value`, separated by commas"),
    Setting(name=names.DISABLED, meaning="`true` switches tracing off, whatever else is set"),
)
