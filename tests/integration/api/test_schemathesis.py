"""Thousands of requests made up from `/openapi.json`, right ones and wrong ones: the document and the server agree."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# A number, never a time: a busy machine sends the same requests, only later.
EXAMPLES_PER_OPERATION = 30
WAIT_SECONDS = 1200
HYPOTHESIS_DIRECTORY = Path(__file__).parents[3] / ".hypothesis"
"""Where Hypothesis keeps its table of characters from run to run: making it is a seventh of this test."""


def test_the_server_does_what_its_document_says(
    serve_files: Callable[..., Any], headers: dict[str, str], tmp_path: Path
) -> None:
    server = serve_files(SYNC_OUTCOME="Succeeded", REQUESTS_PER_MINUTE="0")
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        *("run", f"http://127.0.0.1:{server.port}/openapi.json"),
        *("--header", f"X-API-KEY: {headers['x-Api-Key']}"),
        *(
            "--max-examples",
            str(EXAMPLES_PER_OPERATION),
            "--request-timeout",
            "10",
            "--continue-on-failure",
            "--no-color",
        ),
        # The same requests each time: what is found by chance is for the benchmark.
        *("--seed", "1", "--generation-database", ":memory:"),
        # No schema can say that a start is before an end, or that a key was not used before.
        *("--exclude-checks", "positive_data_acceptance"),
    ]

    run = subprocess.run(
        command,
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "LANG": "C.UTF-8",
            "HYPOTHESIS_STORAGE_DIRECTORY": str(HYPOTHESIS_DIRECTORY),
        },
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    (passed,) = re.findall(r"generated, (\d+) passed", run.stdout)
    assert int(passed) > 500
    assert "Traceback" not in server.log.read_text()
