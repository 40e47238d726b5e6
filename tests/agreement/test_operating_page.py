"""`docs/operating.md` names the metrics that there are, and no others."""

import re
from pathlib import Path

from estimatesync_contract.names import ANNOTATION_REDELIVER
from estimatesync_operator.metrics import OperatorMetrics
from estimatesync_operator.sync_cache import SyncCache
from estimatesync_operator.watch_health import WatchHealth

PAGE = (Path(__file__).parents[2] / "docs" / "operating.md").read_text()


def test_the_page_lists_every_metric_of_ours_with_its_labels() -> None:
    registry = OperatorMetrics(SyncCache(), WatchHealth()).registry
    families = {family.name: family.type for family in registry.collect() if family.name.startswith("estimatesync_")}
    existing = {f"{name}_total" if kind == "counter" else name for name, kind in families.items()}

    assert set(re.findall(r"^\| `(estimatesync_\w+)` \|", PAGE, re.MULTILINE)) == existing


def test_the_annotation_on_the_page_is_the_one_that_is_read() -> None:
    assert f"{ANNOTATION_REDELIVER}=" in PAGE
