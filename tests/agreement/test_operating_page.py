"""`docs/operating.md` names the annotation that is read."""

from pathlib import Path

from estimatesync_contract.names import ANNOTATION_REDELIVER

PAGE = (Path(__file__).parents[2] / "docs" / "operating.md").read_text()


def test_the_annotation_on_the_page_is_the_one_that_is_read() -> None:
    assert f"{ANNOTATION_REDELIVER}=" in PAGE
