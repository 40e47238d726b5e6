"""Checks everything that a sync needs, in the order of dependency. The command `doctor` calls it.

Nothing is started, stored or posted. What cannot be tried from here is decided by what recent syncs show.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

import httpx
from estimatesync_contract.refused_login import RefusedLogin
from estimatesync_contract.timestamps import format_timestamp

from estimatesync_client.adapters.callback_probe import check_callbacks
from estimatesync_client.adapters.connection import CONNECTION_ERRORS, classify_error, open_client
from estimatesync_client.adapters.database_probe import check_database
from estimatesync_client.adapters.http_api import HttpApi
from estimatesync_client.adapters.server_probe import NO_STORAGE, check_key, check_server, check_store, is_usable
from estimatesync_client.adapters.source_probe import check_source
from estimatesync_client.core.api import SUCCEEDED, ListQuery
from estimatesync_client.core.diagnoses import Check, Diagnosis, Finding, build_finding
from estimatesync_client.core.errors import ClientError, UsageError
from estimatesync_client.core.formatting import strip_control_characters
from estimatesync_client.core.problems import KEY_VARIABLE, URL_VARIABLE
from estimatesync_client.core.recent_syncs import (
    combine_findings,
    decide_callback,
    decide_database,
    decide_source,
    decide_success,
)
from estimatesync_client.settings import (
    ApiKey,
    DeploymentSettings,
    SourceSettings,
    parse_address,
    parse_key,
)

_RECENT_SYNCS: Final = 20
"""What older syncs show may have changed since."""


def examine(
    environment: Mapping[str, str], deployment: DeploymentSettings, *, url: str, now: Callable[[], datetime]
) -> Iterator[Finding]:
    """Yield each finding as soon as it is known.

    Args:
        environment: has the key.
        deployment: the settings of the deployment, as far as they are known here.
        url: where the API is.
        now: reads the clock.
    """
    try:
        address = parse_address(url)
    except UsageError as error:
        detail = error.message.removesuffix(".")
        yield build_finding(Check.SERVER, Diagnosis.URL_UNUSABLE, detail=detail, setting=URL_VARIABLE)
        yield from _examine_without_server(deployment)
        return
    key, key_fault = _read_key(environment)
    with open_client(address, key) as client:
        server = check_server(client, address)
        yield server
        if not is_usable(server):
            yield from _examine_without_server(deployment)
            return
        storage = _try(Check.STORAGE, lambda: check_store(client))
        yield storage
        has_storage = is_usable(storage)
        checked = key_fault or _try(Check.KEY, lambda: check_key(client, has_storage=has_storage))
        yield checked
        seen = (
            _check_recent_syncs(client, now, stale_after=deployment.stale_after, has_storage=has_storage)
            if is_usable(checked)
            else _skip_all("the key has to be accepted first")
        )
        yield from _examine_deployment(deployment, seen)


def _read_key(environment: Mapping[str, str]) -> tuple[ApiKey | None, Finding | None]:
    try:
        return parse_key(environment), None
    except UsageError as error:
        detail = error.message.removesuffix(".")
        return None, build_finding(Check.KEY, Diagnosis.KEY_UNUSABLE, detail=detail, setting=KEY_VARIABLE)


def _examine_without_server(deployment: DeploymentSettings) -> Iterator[Finding]:
    seen = _skip_all("the server has to answer first")
    yield seen[Check.STORAGE]
    yield seen[Check.KEY]
    yield from _examine_deployment(deployment, seen)


def _examine_deployment(deployment: DeploymentSettings, seen: Mapping[Check, Finding]) -> Iterator[Finding]:
    source, database, callbacks = deployment.source, deployment.database, deployment.callbacks
    stored, refusal = check_database(database) if database else (None, None)
    yield combine_findings(_check_source(source, refusal) if source else None, seen[Check.SOURCE])
    yield combine_findings(stored, seen[Check.DATABASE])
    yield combine_findings(check_callbacks(callbacks) if callbacks else None, seen[Check.CALLBACK])
    yield seen[Check.SUCCESS]


def _check_source(source: SourceSettings, refusal: RefusedLogin | None) -> Finding:
    """Try a login, unless it is known to be refused: a few more of these, and the account is locked."""
    if refusal is None or not refusal.is_of(source.credentials):
        return check_source(source)
    return build_finding(
        Check.SOURCE,
        Diagnosis.SOURCE_REFUSED_BEFORE,
        detail=strip_control_characters(refusal.said).rstrip("."),
        moment=format_timestamp(refusal.refused_at),
    )


def _check_recent_syncs(
    client: httpx.Client, now: Callable[[], datetime], *, stale_after: timedelta | None, has_storage: bool
) -> Mapping[Check, Finding]:
    api = HttpApi(client, patience=0, notice=lambda _: None)
    try:
        syncs = api.fetch_page(ListQuery(limit=_RECENT_SYNCS)).syncs
        succeeded = api.fetch_page(ListQuery(limit=_RECENT_SYNCS, statuses=(SUCCEEDED,))).syncs
    except ClientError as error:
        return _skip_all(error.message.removesuffix(".") if has_storage else NO_STORAGE)
    moment = now()
    return {
        Check.SOURCE: decide_source(syncs, moment),
        Check.DATABASE: decide_database(syncs, moment),
        Check.CALLBACK: decide_callback(syncs, moment),
        Check.SUCCESS: decide_success(succeeded, syncs, moment, stale_after=stale_after),
    }


def _try(check: Check, probe: Callable[[], Finding]) -> Finding:
    """Run a probe; that its connection fails now, after an earlier one worked, is a finding too."""
    try:
        return probe()
    except CONNECTION_ERRORS as error:
        diagnosis, detail = classify_error(error)
        return build_finding(check, diagnosis, host="the server", setting=URL_VARIABLE, detail=detail)


def _skip_all(why: str) -> Mapping[Check, Finding]:
    return {check: build_finding(check, Diagnosis.NOT_TRIED, detail=why) for check in Check}
