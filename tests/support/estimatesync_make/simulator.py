"""Runs a blueprint offline, as Make.com runs a scenario: modules in order, filters, routes, handlers, repetitions.

Tests call it with callbacks that were really delivered. What a module does to the world is a function that the caller
gives, by the module's kind.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from estimatesync_make.modules import BREAK, IGNORE, PARSE_JSON, ROUTER, SET_VARIABLES, WEBHOOK, Module
from estimatesync_make.scenarios import Blueprint
from estimatesync_make.templates import Scope, matches_filter, render

Action = Callable[[Mapping[str, Any]], Any]
"""What a module does: takes its filled fields, returns its output. Raises ModuleFault."""


class ModuleFault(Exception):  # noqa: N818 - the word for it in Make.com's own pages is not "error" alone
    """A module has failed, as Gmail does when it is away or HTTP when it is answered 503."""


@dataclass(frozen=True, kw_only=True)
class Incomplete:
    """An incomplete execution: where a run stopped, and what was known there."""

    flow: Sequence[Module]
    outputs: Mapping[int, Any]
    retries: int


@dataclass(kw_only=True)
class Run:
    """What came of one run."""

    operations: int = 0
    outputs: dict[int, Any] = field(default_factory=dict)
    incomplete: list[Incomplete] = field(default_factory=list)
    is_failed: bool = False
    """An error without a handler: an instant scenario is switched off by it."""


class Simulator:
    """One scenario with the world around it."""

    def __init__(
        self, blueprint: Blueprint, actions: Mapping[str, Action], *, clock: Callable[[], datetime], execution_id: str
    ) -> None:
        """Prepare; `clock` returns an aware time, `execution_id` names the runs to come and may be changed between."""
        self._flow: Sequence[Module] = blueprint["flow"]
        self._deeds: Final = {SET_VARIABLES: _set_variables, PARSE_JSON: _parse_json, **actions}
        self._clock = clock
        self.execution_id = execution_id

    def run(self, bundle: Mapping[str, Any] | None = None) -> Run:
        """Run once: by schedule, or because of what the webhook has received."""
        run = Run()
        outputs: dict[int, Any] = {}
        flow = self._flow
        if flow[0]["module"] == WEBHOOK:
            outputs[flow[0]["id"]] = bundle
            run.operations += 1
            flow = flow[1:]
        self._run_flow(flow, outputs, run)
        return run

    def retry(self, incomplete: Incomplete) -> Run:
        """Try an incomplete execution again: the outputs of earlier modules are kept."""
        run = Run()
        self._run_flow(incomplete.flow, incomplete.outputs, run)
        return run

    def _run_flow(self, flow: Sequence[Module], outputs: Mapping[int, Any], run: Run) -> None:
        known = dict(outputs)
        for position, module in enumerate(flow):
            if not matches_filter(module.get("filter"), self._build_scope(known)):
                return
            if module["module"] == ROUTER:
                for route in module["routes"]:
                    self._run_flow(route["flow"], known, run)
                return
            run.operations += 1
            try:
                known[module["id"]] = self._run_module(module, known)
            except ModuleFault:
                _handle(module, flow[position:], known, run)
                return
            run.outputs[module["id"]] = known[module["id"]]

    def _run_module(self, module: Module, outputs: Mapping[int, Any]) -> Any:  # noqa: ANN401 - what a module puts out
        return self._deeds[module["module"]](render(module["mapper"], self._build_scope(outputs)))

    def _build_scope(self, outputs: Mapping[int, Any]) -> Scope:
        now = self._clock()
        variables = {"now": now, "timestamp": int(now.timestamp()), "var.scenario.executionId": self.execution_id}
        return Scope(outputs=outputs, variables=variables)


def build_webhook_bundle(body: bytes) -> Mapping[str, Any]:
    """Build what the webhook module puts out: the fields of the JSON."""
    bundle: Mapping[str, Any] = json.loads(body)
    return bundle


def build_raw_webhook_bundle(body: bytes, headers: Mapping[str, str]) -> Mapping[str, Any]:
    """The same with "JSON pass-through" and "Get request headers" switched on."""
    listed = [{"name": name.lower(), "value": value} for name, value in headers.items()]
    return {"value": body.decode(), "__IMTHEADERS__": listed}


def _handle(module: Module, rest: Sequence[Module], outputs: Mapping[int, Any], run: Run) -> None:
    handlers = module.get("onerror", [])
    match handlers[0]["module"] if handlers else None:
        case str(kind) if kind == BREAK:
            run.incomplete.append(Incomplete(flow=rest, outputs=outputs, retries=handlers[0]["mapper"]["count"]))
        case str(kind) if kind == IGNORE:
            return
        case _:
            run.is_failed = True


def _set_variables(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    return {variable["name"]: variable["value"] for variable in fields["variables"]}


def _parse_json(fields: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(fields["json"])
    except ValueError as error:
        raise ModuleFault(str(error)) from error
