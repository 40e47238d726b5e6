"""A simulator treats routes, filters and errors as Make.com does."""

from datetime import UTC, datetime
from typing import Any

import pytest
from estimatesync_make.modules import (
    ADD_RECORD,
    GMAIL,
    SET_VARIABLES,
    WEBHOOK,
    Module,
    build_break,
    build_filter,
    build_ignore,
    build_module,
    build_router,
    build_variables,
)
from estimatesync_make.simulator import ModuleFault, Simulator


def build_mail(module_id: int, *, status: str | None = None, handler: Module | None = None) -> Module:
    condition = build_filter("x", ("{{1.status}}", "text:equal", status)) if status else None
    return build_module(module_id, GMAIL, "x", mapper={"subject": "{{1.status}}"}, condition=condition, handler=handler)


def build_hook() -> Module:
    return build_module(1, WEBHOOK, "x", mapper={})


def simulate(*flow: Module, actions: dict[str, Any]) -> Simulator:
    return Simulator({"flow": list(flow)}, actions, clock=lambda: datetime.now(UTC), execution_id="e1")


def fail(_: Any) -> None:
    raise ModuleFault("away")


def test_every_route_whose_filter_fits_is_run() -> None:
    sent: list[Any] = []
    routes = [[build_mail(3, status="a")], [build_mail(4, status="b")], [build_mail(5, status="a")]]

    run = simulate(build_hook(), build_router(2, "x", routes), actions={GMAIL: sent.append}).run({"status": "a"})

    assert set(run.outputs) == {3, 5}
    assert (len(sent), run.operations) == (2, 3)


def test_a_filter_stops_all_that_follows() -> None:
    sent: list[Any] = []

    run = simulate(build_hook(), build_mail(2, status="b"), build_mail(3), actions={GMAIL: sent.append}).run(
        {"status": "a"}
    )

    assert (sent, run.operations, run.is_failed) == ([], 1, False)


@pytest.mark.parametrize(
    ("handler", "is_failed", "kept"),
    [
        pytest.param(None, True, 0, id="none-fails-the-run"),
        pytest.param(build_ignore(2), False, 0, id="ignore-drops"),
        pytest.param(build_break(2, count=3, minutes=15), False, 1, id="break-keeps"),
    ],
)
def test_an_error_does_what_its_handler_says(handler: Module | None, kept: int, *, is_failed: bool) -> None:
    flow = (build_hook(), build_mail(2, handler=handler), build_module(3, ADD_RECORD, "x", mapper={}))

    run = simulate(*flow, actions={GMAIL: fail, ADD_RECORD: fail}).run({"status": "a"})

    assert (run.is_failed, len(run.incomplete)) == (is_failed, kept)
    assert run.operations == 2


def test_a_repetition_begins_where_it_stopped_and_keeps_what_was_known() -> None:
    attempts: list[Any] = []

    def send(fields: Any) -> Any:
        attempts.append(fields)
        return fields if len(attempts) > 1 else fail(fields)

    variables = build_module(1, SET_VARIABLES, "x", mapper=build_variables(key="{{var.scenario.executionId}}"))
    mail = build_module(2, GMAIL, "x", mapper={"subject": "{{1.key}}"}, handler=build_break(2, count=1, minutes=1))
    simulator = simulate(variables, mail, actions={GMAIL: send})
    (kept,) = simulator.run().incomplete
    simulator.execution_id = "e2"

    repeated = simulator.retry(kept)

    assert repeated.outputs == {2: {"subject": "e1"}}
    assert (kept.retries, repeated.operations) == (1, 1)
