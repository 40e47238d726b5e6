"""What a demo expects, and what differs from it: the demo's verdict, pure."""

from dataclasses import dataclass
from typing import Any, Final

TOTAL: Final = 1609
KNOWN: Final = 1564
NEW: Final = TOTAL - KNOWN


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The estimates as SQL counts them."""

    total: int
    new: int
    updated: int


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Everything that was seen of one sync, by four witnesses."""

    sync_id: str
    accepted_code: int
    accepted: dict[str, Any]
    status: dict[str, Any]
    callbacks: tuple[dict[str, Any], ...]
    rows: Rows


def find_differences(findings: Findings) -> tuple[str, ...]:
    """Compare what was seen with what must be; every difference is a sentence, none means success."""
    expected = {
        "HTTP status of the POST": (findings.accepted_code, 202),
        "success in the answer": (findings.accepted.get("success"), True),
        "status in the answer": (findings.accepted.get("status"), "processing"),
        "status of the sync": (findings.status.get("status"), "succeeded"),
        "results in the status": (_get_counts(findings.status, "new_estimates", "updated_estimates"), (NEW, KNOWN)),
        "number of callbacks": (len(findings.callbacks), 1),
        "rows in the database": (findings.rows, Rows(total=TOTAL, new=NEW, updated=KNOWN)),
    }
    for callback in findings.callbacks:
        expected |= {
            "status in the callback": (callback.get("status"), "success"),
            "sync_id in the callback": (callback.get("sync_id"), findings.sync_id),
            "results in the callback": (
                _get_counts(callback, "total_fetched", "new_estimates", "updated_estimates", "total_processed"),
                (TOTAL, NEW, KNOWN, TOTAL),
            ),
        }
    return tuple(f"{what}: expected {wanted}, got {got}" for what, (got, wanted) in expected.items() if got != wanted)


def _get_counts(body: dict[str, Any], *names: str) -> tuple[Any, ...]:
    results = body.get("results") or {}
    return tuple(results.get(name) for name in names)
