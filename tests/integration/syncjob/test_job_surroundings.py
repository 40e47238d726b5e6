"""Other faults of the environment: a mistake in the settings is named, and an unexpected error is called a defect."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from estimatesync_contract.causes import Reason
from sample_attic_tech import RunningSample


@pytest.mark.parametrize("content", [pytest.param(None, id="no file"), pytest.param("not a certificate", id="garbage")])
def test_authorities_that_cannot_be_read_are_a_matter_of_settings(
    jobs: Any, sample: RunningSample, tmp_path: Path, content: str | None
) -> None:
    authorities = tmp_path / "ca.crt"
    if content is not None:
        authorities.write_text(content)

    job = jobs.run(sample, SSL_CERT_FILE=str(authorities))

    assert job.process.returncode == 20
    assert job.result.error.reason is Reason.CONFIGURATION_INVALID
    assert "network.caConfigMap" in job.result.error.message
    assert sample.requests == []


def test_a_host_that_can_have_no_address_is_a_matter_of_settings(jobs: Any, sample: RunningSample) -> None:
    job = jobs.run(sample, DATABASE_URL="postgresql://u:made-up@db..test/d")

    assert job.process.returncode == 20
    assert job.result.error.reason is Reason.CONFIGURATION_INVALID
    assert job.result.error.message == (
        "The sync cannot start: DATABASE_URL cannot be used: it names a host that can have no address."
    )
    assert "Traceback" not in job.output


def test_an_unexpected_error_is_reported_as_a_defect_and_may_be_retried(jobs: Any, sample: RunningSample) -> None:
    job = jobs.run(sample, HTTP_PROXY="ftp://proxy.test")

    assert job.process.returncode == 10
    assert job.result.error.reason is Reason.INTERNAL_ERROR
    assert "an error it does not know" in job.result.error.message
    assert "Traceback" in job.output


def test_warnings_that_psycopg_logs_in_addition_to_its_errors_are_not_written_to_stderr() -> None:
    program = "import estimatesync_job.main, logging; logging.getLogger('psycopg').warning('error ignored')"

    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert answer.stderr == ""
