"""What the callback's unit tests share: a finished sync."""

from datetime import UTC, date, datetime

import pytest
from estimatesync_contract.estimate_sync import EstimateSync, Metadata
from estimatesync_contract.spec import DateRange
from estimatesync_contract.status import CallbackState, CallbackStatus, EstimateSyncStatus, Phase, Results


@pytest.fixture
def succeeded() -> EstimateSync:
    """The sync of the seed's example callback."""
    return EstimateSync(
        metadata=Metadata(name="est-20251016-140900000-k3x9q", namespace="botzilla", uid="6f1c"),
        status=EstimateSyncStatus(
            phase=Phase.SUCCEEDED,
            message="✅ Background synchronization finished. New: 45, Updated: 1564.",
            date_range=DateRange(start=date(2025, 9, 1), end=date(2025, 10, 16)),
            completion_time=datetime(2025, 10, 16, 14, 15, 30, tzinfo=UTC),
            duration_seconds=487,
            results=Results(
                total_fetched=1609,
                new_estimates=45,
                updated_estimates=1564,
                unchanged_estimates=1500,
                total_processed=1609,
            ),
            callback=CallbackStatus(state=CallbackState.PENDING, id="msg_6f1c", environment="production"),
        ),
    )
