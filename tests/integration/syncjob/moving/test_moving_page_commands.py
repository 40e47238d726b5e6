"""The how-to, command for command, from the first backend's tables to readers that continue."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from estimatesync_job.core.rows import Row
from sample_attic_tech import Record, RunningSample

PAGE = (Path(__file__).parents[4] / "docs" / "moving.md").read_text()
COMMANDS = re.findall(r"^\$ estimatesync-import (.+?)(?: > (\S+))?$", PAGE, re.MULTILINE)


def test_the_commands_of_the_page_work_in_their_order(
    database_url: str,
    tmp_path: Path,
    sample: RunningSample,
    fill: Callable[..., list[Record]],
    camel_case: Callable[[list[Record]], list[Row]],
    jobs: Any,
    query: Callable[..., list[Any]],
) -> None:
    camel_case(fill(40)[:30])
    query("""INSERT INTO crm."visits" ("estimateId") SELECT "id" FROM crm."estimates" """)

    ended = {}
    for command, output in COMMANDS:
        name, *_ = arguments = shlex.split(command)
        if name == "compare":
            jobs.run(sample, DATABASE_SCHEMA="estimatesync")
        done = subprocess.run(
            [sys.executable, "-m", "estimatesync_import", *arguments],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "DATABASE_URL": database_url, "DATABASE_SCHEMA": "estimatesync"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stderr == ""
        ended[name] = done
        if output:
            (tmp_path / output).write_text(done.stdout)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute((tmp_path / "handover.sql").read_bytes())

    assert {name: done.returncode for name, done in ended.items()} == dict.fromkeys(ended, 0) | {"compare": 1}
    assert "0 different, 0 only theirs" in ended["compare"].stdout
    assert query('SELECT count(*) FROM crm."estimates"') == [40]
    assert query('SELECT count(*) FROM crm."visits" JOIN estimatesync.estimate ON estimate.id = "estimateId"') == [30]
