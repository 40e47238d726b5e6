"""What the emails say: in English word for word as the people of the first backend know them, and the sync's id below.

For a language that is not here, the modules are edited after the import.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple


class Mail(NamedTuple):
    """A subject, and the lines of a mail."""

    subject: str
    lines: tuple[str, ...]


_DAYS: Final = (
    "📅 Date Range:",
    "- Start: {date_range.start_date}",
    "- End: {date_range.end_date}",
    "",
)
_DAYS_ES: Final = (
    "📅 Rango de fechas:",
    "- Inicio: {date_range.start_date}",
    "- Fin: {date_range.end_date}",
    "",
)
_SYNC: Final = ("", "🔖 Sync: {sync_id}")

MAILS: Final[Mapping[str, Mapping[str, Mail]]] = {
    "en": {
        "success": Mail(
            "✅ Sync Estimates Completed - {results.total_processed} estimates",
            (
                "The sync has completed successfully!",
                "",
                "📊 Results:",
                "- Total fetched from Attic Tech: {results.total_fetched}",
                "- New estimates: {results.new_estimates}",
                "- Updated estimates: {results.updated_estimates}",
                "",
                *_DAYS,
                "⏱️ Performance:",
                "- Duration: {performance.duration_minutes} minutes",
                *_SYNC,
            ),
        ),
        "error": Mail(
            "❌ Sync Estimates Failed",
            (
                "The sync has failed with the following error:",
                "",
                "❌ Error: {error}",
                "",
                *_DAYS,
                "⏱️ Duration: {performance.duration_minutes} minutes",
                "",
                "{details_url?Details: |Please check the server logs for more details.}",
                *_SYNC,
            ),
        ),
        "cancelled": Mail(
            "⏹️ Sync Estimates Cancelled",
            (
                "The sync was cancelled before its end. The database is as it was before.",
                "",
                *_DAYS,
                "⏱️ Duration: {performance.duration_minutes} minutes",
                *_SYNC,
            ),
        ),
        "stale": Mail(
            "⏰ No Sync Estimates for {hours_since} hours",
            (
                "No sync has succeeded for {hours_since} hours: the estimates in the database are as old as that.",
                "",
                "🕒 Last success:",
                "- Sync: {last_success.sync_id?|none yet}",
                "- Ended: {last_success.timestamp?|never}",
                "- Start: {last_success.date_range.start_date}",
                "- End: {last_success.date_range.end_date}",
                "",
                "Please check that the scenario that starts syncs is on, and how its last runs ended{details_url?: |.}",
                "This mail comes once, after {stale_after_hours} hours, until a sync succeeds again.",
            ),
        ),
    },
    "es": {
        "success": Mail(
            "✅ Sync completado: {results.new_estimates} nuevos, {results.updated_estimates} actualizados",
            (
                "¡La sincronización terminó con éxito!",
                "",
                "📊 Resultados:",
                "- Total leído de Attic Tech: {results.total_fetched}",
                "- Estimates nuevos: {results.new_estimates}",
                "- Estimates actualizados: {results.updated_estimates}",
                "",
                *_DAYS_ES,
                "⏱️ Rendimiento:",
                "- Duración: {performance.duration_minutes} minutos",
                *_SYNC,
            ),
        ),
        "error": Mail(
            "❌ Sync fallido",
            (
                "La sincronización falló con este error:",
                "",
                "❌ Error: {error}",
                "",
                *_DAYS_ES,
                "⏱️ Duración: {performance.duration_minutes} minutos",
                "",
                "{details_url?Detalles: |Revisa los logs del servidor para más detalles.}",
                *_SYNC,
            ),
        ),
        "cancelled": Mail(
            "⏹️ Sync cancelado",
            (
                "La sincronización se canceló antes de terminar. La base de datos está como antes.",
                "",
                *_DAYS_ES,
                "⏱️ Duración: {performance.duration_minutes} minutos",
                *_SYNC,
            ),
        ),
        "stale": Mail(
            "⏰ Sin sync desde hace {hours_since} horas",
            (
                "Ninguna sincronización tuvo éxito en {hours_since} horas: los estimates guardados son así de viejos.",
                "",
                "🕒 Último éxito:",
                "- Sync: {last_success.sync_id?|todavía ninguno}",
                "- Terminó: {last_success.timestamp?|nunca}",
                "- Inicio: {last_success.date_range.start_date}",
                "- Fin: {last_success.date_range.end_date}",
                "",
                "Revisa que el escenario que las inicia esté activado, y cómo terminaron las últimas{details_url?: |.}",
                "Este correo llega una sola vez, después de {stale_after_hours} horas, hasta el próximo éxito.",
            ),
        ),
    },
}
"""By language, and by how a sync ends, or that none succeeds. `{field?before|else}` is the field behind some words, or
other words where there is none."""

_FIELDS: Final = (
    *("results.total_processed", "results.total_fetched", "results.new_estimates", "results.updated_estimates"),
    *("date_range.start_date", "date_range.end_date", "performance.duration_minutes", "sync_id"),
    *("hours_since", "stale_after_hours"),
    *("last_success.date_range.start_date", "last_success.date_range.end_date"),
)
_CHOICE: Final = re.compile(r"\{([\w.]+)\?([^{}|]*)\|([^{}]*)\}")
_FREE_TEXT: Final = "error"
"""The one field that quotes others: it is escaped, for the mail is HTML."""


def build_text(line: str, *, body: int) -> str:
    """Point the fields of a line at the module that holds the callback's body."""
    for name in _FIELDS:
        line = line.replace(f"{{{name}}}", f"{{{{{body}.{name}}}}}")
    line = _CHOICE.sub(rf'{{{{if({body}.\1; "\2" + {body}.\1; "\3")}}}}', line)
    return line.replace(f"{{{_FREE_TEXT}}}", f"{{{{escapeHTML({body}.{_FREE_TEXT})}}}}")


def build_html(lines: tuple[str, ...], *, body: int) -> str:
    """Build the content of a mail: Gmail's module takes HTML, in which a line ends with `<br>`."""
    return "<br>\n".join(build_text(line, body=body) for line in lines)
