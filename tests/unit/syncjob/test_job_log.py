"""The same sentence in both formats."""

import io
from datetime import datetime

import msgspec
from estimatesync_job.adapters.log import create_log


def test_text_is_the_bare_sentence() -> None:
    stream = io.StringIO()

    create_log("text", stream, sync_id="est-1").write("page", "🔍 [SYNC] Page 1/2: 100 estimates", page=1)

    assert stream.getvalue() == "🔍 [SYNC] Page 1/2: 100 estimates\n"


def test_json_is_one_object_per_line_with_the_sync_id() -> None:
    stream = io.StringIO()

    create_log("json", stream, sync_id="est-1").write("failed", "❌ two\nlines", level="error", page=1)

    line = stream.getvalue()
    content = msgspec.json.decode(line)
    assert line.count("\n") == 1
    assert datetime.fromisoformat(content.pop("time")).tzinfo
    assert content == {
        "level": "error", "action": "failed", "message": "❌ two\nlines", "sync_id": "est-1", "page": 1
    }  # fmt: skip
