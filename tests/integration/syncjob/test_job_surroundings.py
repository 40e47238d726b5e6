"""Other faults of the environment: a mistake in the settings is named, and an unexpected error is called a defect."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from estimatesync_contract.causes import Reason
from sample_attic_tech import RunningSample

DOWN = "postgresql://u:made-up@127.0.0.1:1/d"


@pytest.mark.parametrize(
    "database",
    [
        pytest.param({}, id="database"),
        pytest.param({"DATABASE_URL": DOWN, "DATABASE_WAIT_SECONDS": "0"}, id="database-that-is-down"),
        pytest.param({"DATABASE_URL": DOWN, "DATABASE_WAIT_SECONDS": "3600"}, id="database-that-is-waited-for"),
    ],
)
@pytest.mark.parametrize("content", [pytest.param(None, id="no file"), pytest.param("not a certificate", id="garbage")])
def test_authorities_that_cannot_be_read_are_a_matter_of_settings(
    jobs: Any, sample: RunningSample, tmp_path: Path, content: str | None, database: dict[str, str]
) -> None:
    authorities = tmp_path / "ca.crt"
    if content is not None:
        authorities.write_text(content)

    job = jobs.run(sample, SSL_CERT_FILE=str(authorities), ATTIC_TECH_URL="https://attic.test", **database)

    assert job.process.returncode == 20
    assert job.result.error.reason is Reason.CONFIGURATION_INVALID
    assert "network.caConfigMap" in job.result.error.message


def test_authorities_are_not_read_where_nothing_needs_tls(jobs: Any, sample: RunningSample) -> None:
    job = jobs.run(sample, SSL_CERT_FILE="/no/such/file")

    assert job.process.returncode == 0, job.output


def test_a_host_that_can_have_no_address_is_a_matter_of_settings(jobs: Any, sample: RunningSample) -> None:
    job = jobs.run(sample, DATABASE_URL="postgresql://u:made-up@db..test/d")

    assert job.process.returncode == 20
    assert job.result.error.reason is Reason.CONFIGURATION_INVALID
    assert job.result.error.message == (
        "The sync cannot start: DATABASE_URL cannot be used: it names a host that can have no address."
    )
    assert "Traceback" not in job.output


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"ALL_PROXY": "socks5://u:made-up@proxy.test"}, "ALL_PROXY must not name a SOCKS", id="SOCKS"),
        pytest.param({"HTTPS_PROXY": "http://u:made#up@proxy.test"}, "HTTPS_PROXY must be an address", id="password"),
        pytest.param({"ATTIC_TECH_URL": "https://attic..test"}, "ATTIC_TECH_URL has a host name", id="host"),
    ],
)
def test_a_proxy_or_host_that_no_request_can_use_is_a_matter_of_settings(
    jobs: Any, sample: RunningSample, changes: dict[str, str], said: str
) -> None:
    job = jobs.run(sample, **{"ATTIC_TECH_URL": "https://attic.test", **changes})

    assert job.process.returncode == 20
    assert job.result.error.reason is Reason.CONFIGURATION_INVALID
    assert said in job.result.error.message
    assert not [word for word in ("Traceback", "made") if word in job.output]


def test_exceptions_for_networks_and_addresses_in_brackets_are_read(jobs: Any, sample: RunningSample) -> None:
    job = jobs.run(sample, HTTP_PROXY="http://proxy.test:3128", NO_PROXY="[::1],fd00::/8,localhost")

    assert job.process.returncode == 0, job.output


def test_exceptions_that_other_programs_read_are_skipped_and_named_by_number(jobs: Any, sample: RunningSample) -> None:
    job = jobs.run(sample, HTTP_PROXY=sample.url, ATTIC_TECH_URL="http://attic.test", NO_PROXY="*.local,169.254/16")

    assert job.result.error is None or job.result.error.reason is not Reason.CONFIGURATION_INVALID
    assert "[SYNC] NO_PROXY holds" in job.output
    assert "entry 2 is none of these, and skipped" in job.output


def test_an_unexpected_error_is_reported_as_a_defect_and_may_be_retried(
    jobs: Any, sample: RunningSample, tmp_path: Path
) -> None:
    broken = "import http.cookiejar\nhttp.cookiejar.DefaultCookiePolicy.__init__ = None\n"
    (tmp_path / "sitecustomize.py").write_text(broken)

    job = jobs.run(sample, PYTHONPATH=str(tmp_path))

    assert job.process.returncode == 10
    assert job.result.error.reason is Reason.INTERNAL_ERROR
    assert "an error it does not know" in job.result.error.message
    assert "Traceback" in job.output


def test_warnings_that_psycopg_logs_in_addition_to_its_errors_are_not_written_to_stderr() -> None:
    program = "import estimatesync_job.main, logging; logging.getLogger('psycopg').warning('error ignored')"

    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert answer.stderr == ""
