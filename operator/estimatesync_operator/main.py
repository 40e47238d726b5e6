"""The operator's kopf shell: every event goes into the intake; the work queue and the reconciler do the rest.

Run it as a module, one replica per namespace:

    kopf run -m estimatesync_operator.main --namespace $NAMESPACE --log-format=json \
        --liveness http://0.0.0.0:8080/healthz

Only `on.event` handlers are used: they neither annotate the objects nor add finalizers, so an operator that has been
removed leaves nothing behind that cannot be deleted. They are not retried either, which the work queue makes up for.
"""

import asyncio
import logging
import os
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, Final

import kopf
from estimatesync_contract.callback_url import format_target
from estimatesync_contract.environment_reader import SettingsError
from estimatesync_contract.job_environment import ATTIC_TECH_URL
from estimatesync_contract.legacy_settings import accept_old_names
from estimatesync_contract.names import GROUP, PLURAL, VERSION
from estimatesync_tracing.log_fields import install_trace_fields
from estimatesync_tracing.setup import NO_TRACER, create_tracer
from estimatesync_tracing.spans import Tracer
from kubernetes.aio.config import ConfigException

from estimatesync_operator.assembly import read_settings, run_operator
from estimatesync_operator.callback_settings import CallbackSettings
from estimatesync_operator.intake import Intake
from estimatesync_operator.kubernetes_store import NotServedError
from estimatesync_operator.log_context import install_sync_ids
from estimatesync_operator.ports import WorldUnavailableError
from estimatesync_operator.settings import OperatorSettings
from estimatesync_operator.shell_settings import build_server_url, configure
from estimatesync_operator.watch_health import BLIND_LIMIT

_PATIENCE: Final = 5.0
"""Seconds for the list of all syncs at start, which then goes on beside; and between two looks at an absent server."""

_TRACING_SECONDS: Final = 2.0
"""For the spans that are still to be sent at the end."""

logger = logging.getLogger(__name__)


class _Shell:
    """What lives from start-up to clean-up."""

    intake: asyncio.Future[Intake]
    """Events that come before there is one wait for it."""
    resources: AsyncExitStack
    tracer: Tracer = NO_TRACER
    opening: asyncio.Task[None] | None = None
    has_complaint: bool = False


_shell = _Shell()


_old_names = accept_old_names(os.environ, (ATTIC_TECH_URL, "ENVIRONMENT"))


def _read_settings() -> tuple[OperatorSettings, CallbackSettings]:
    """Settings that cannot be used end the program before kopf starts, with the list of their faults."""
    try:
        return read_settings(_old_names.environment, faults=_old_names.faults)
    except SettingsError as error:
        raise SystemExit(str(error)) from error


_settings, _callback_settings = _read_settings()


@kopf.on.login()
def _login(**kwargs: Any) -> kopf.ConnectionInfo | None:  # noqa: ANN401 - kopf's keyword arguments are of any type
    """Log in without the synchronous Kubernetes client, whose import would cost a second and 50 MB."""
    account = kopf.login_with_service_account(**kwargs)
    if account and (server := build_server_url(os.environ)):
        return replace(account, server=server)
    return account or kopf.login_with_kubeconfig(**kwargs)


@kopf.on.startup()
async def _start(settings: kopf.OperatorSettings, **_: object) -> None:
    """Never wait here for an API server that is away: until this returns, nobody answers the liveness probe."""
    configure(settings)
    install_sync_ids(logging.getLogger().handlers)
    for note in _old_names.notes:
        logger.warning("%s", note)
    _start_tracing()
    url = _callback_settings.default_url
    whereto = format_target(url) if url else "nobody, unless a sync names a webhook"
    logger.info("serving the EstimateSyncs of namespace %s; callbacks go to %s", _settings.namespace, whereto)
    _shell.resources = AsyncExitStack()
    _shell.intake = asyncio.get_running_loop().create_future()
    _shell.opening = asyncio.create_task(_open_until_answered(), name="opening")
    await asyncio.wait({_shell.opening}, timeout=_PATIENCE)


def _start_tracing() -> None:
    _shell.tracer = create_tracer(_settings.tracing, part="operator", warn=logger.warning)
    install_trace_fields(_shell.tracer, logging.getLogger().handlers, as_text=False)
    _shell.tracer.open()


async def _open_until_answered() -> None:
    opened = await _open()
    while not opened:
        await asyncio.sleep(_PATIENCE)
        opened = await _open()


async def _open() -> bool:
    """False when the API server does not answer; when a person must act first, the program ends with what to do."""
    try:
        intake = await _shell.resources.enter_async_context(run_operator(_settings, _callback_settings, _shell.tracer))
    except WorldUnavailableError as error:
        logger.warning("waiting for the API server: %s", error)
        return False
    except NotServedError as error:
        # An API server that has just started knows no rights for a moment: only a second complaint is believed.
        if _shell.has_complaint:
            raise SystemExit(str(error)) from error
        _shell.has_complaint = True
        logger.warning("%s. Looking again in %.0f s", error, _PATIENCE)
        return False
    except (ConfigException, SettingsError) as error:
        raise SystemExit(str(error)) from error
    except Exception as error:
        # Nobody waits for this task: without a word from here the operator would live on and do nothing.
        logger.exception("the operator cannot start")
        raise SystemExit("The operator cannot start, because of an error that it does not know") from error
    _shell.intake.set_result(intake)
    return True


@kopf.on.probe(id="watch")
async def _probe(**_: object) -> str:
    """Fail when only a restart can help: any other error would leave the probe without an answer."""
    if not _shell.intake.done():
        return "waits for the API server"
    blindness = _shell.intake.result().compute_blindness()
    if blindness > BLIND_LIMIT:
        raise kopf.PermanentError(f"the watch has not shown our own writes for {blindness.total_seconds():.0f} s")
    return "shows what is written"


@kopf.on.cleanup()
async def _stop(**_: object) -> None:
    if _shell.opening is not None:
        _shell.opening.cancel()
    await _shell.resources.aclose()
    await asyncio.to_thread(_shell.tracer.close, seconds=_TRACING_SECONDS)


@kopf.on.event(GROUP, VERSION, PLURAL)
async def _take_sync(event: kopf.RawEvent, **_: object) -> None:
    """Fires on each change, on deletion, and at start for every sync there is."""
    (await _shell.intake).take_sync(event["type"], dict(event["object"]))


@kopf.on.event("batch", "v1", "jobs")
async def _take_job(event: kopf.RawEvent, **_: object) -> None:
    (await _shell.intake).take_job(event["type"], dict(event["object"]))
