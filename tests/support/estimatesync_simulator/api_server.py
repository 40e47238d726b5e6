"""A Kubernetes API server in memory: as much as the operator, the job controller and the played people ask of it.

`tests/e2e/product/test_exchanges_on_cluster.py` compares it with the real one, case by case.
https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

import msgspec
from estimatesync_contract.names import PLURAL

Raw = dict[str, Any]

JOBS: Final = "jobs"
PODS: Final = "pods"
EVENTS: Final = "events"
LEASES: Final = "leases"
FOREGROUND: Final = "foregroundDeletion"

_API_VERSIONS: Final = {PLURAL: ("botzilla.io/v1", "EstimateSync"), JOBS: ("batch/v1", "Job")}
_POD_GRACE_SECONDS: Final = 10


class Problem(Exception):  # noqa: N818 - an answer, not a fault of the program
    """The request is not granted."""

    def __init__(self, code: int, reason: str, message: str, *, name: str = "", retry_after: int | None = None) -> None:
        super().__init__(message)
        self.code: Final = code
        self.reason: Final = reason
        self.name: Final = name
        self.retry_after: Final = retry_after

    def encode(self) -> bytes:
        """The metav1.Status that says so."""
        details = {"details": {"name": self.name}} if self.name else {}
        return msgspec.json.encode(
            {"kind": "Status", "code": self.code, "reason": self.reason, "message": str(self), **details}
        )


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A call as it arrives: `/apis/batch/v1/namespaces/ns/jobs/name/status` is resource, name and subresource."""

    method: str
    resource: str
    name: str = ""
    subresource: str = ""
    query: Mapping[str, str] = {}
    body: Any = None


def parse_request(method: str, path: str, query: Iterable[tuple[str, str]], body: object) -> Request:
    """Read a request; every path is one in a namespace."""
    resource, *rest = path.split("/namespaces/", 1)[1].split("/")[1:]
    name, subresource = (*rest, "", "")[:2]
    return Request(method=method, resource=resource, name=name, subresource=subresource, query=dict(query), body=body)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change as a watch shows it. `before` is None for a new object."""

    type: str
    resource: str
    name: str
    raw: bytes
    before: Raw | None
    after: Raw

    def decode(self) -> Raw:
        """A copy of one's own."""
        return msgspec.json.decode(self.raw, type=Raw)


class ApiServer:
    """Objects by resource and name, each as JSON builtins that nobody else may change."""

    def __init__(
        self, now: Callable[[], datetime], on_change: Callable[[Change], None] = lambda _: None, *, page_size: int = 2
    ) -> None:
        """`on_change` is called after each change; `page_size` bounds the pages of a listing."""
        self._now = now
        self._on_change = on_change
        self._page_size = page_size
        self._objects: dict[str, dict[str, Raw]] = {PLURAL: {}, JOBS: {}, PODS: {}, EVENTS: {}, LEASES: {}}
        self._version = 100
        self._uids = 0
        self._oldest_listing = 0

    @property
    def version(self) -> int:
        """Another one after each change."""
        return self._version

    # What actors inside the cluster do.

    def find(self, resource: str, name: str) -> Raw | None:
        """An object as it is stored; not to be changed."""
        return self._objects[resource].get(name)

    def list(self, resource: str) -> list[Raw]:
        """Every object, in the order of creation."""
        return list(self._objects[resource].values())

    def create(self, resource: str, body: Raw) -> Raw:
        """Store a new object.

        Raises:
            Problem: The name is taken.
        """
        metadata = body["metadata"]
        name = metadata["name"]
        if name in self._objects[resource]:
            raise Problem(HTTPStatus.CONFLICT, "AlreadyExists", f'{resource} "{name}" already exists', name=name)
        self._uids += 1
        fresh = {
            **body,
            "metadata": {
                **metadata,
                "uid": f"{resource[:3]}-{self._uids}",
                "generation": 1,
                "creationTimestamp": format_time(self._now()),
            },
        }
        if resource in _API_VERSIONS:
            # What is new has no status yet: it is written apart.
            fresh.pop("status", None)
        return self._store(resource, "ADDED", None, fresh)

    def update(self, resource: str, name: str, **fields: Any) -> Raw:  # noqa: ANN401 - JSON builtins
        """Replace top-level fields of an object; nothing happens when they are the same already.

        Raises:
            Problem: There is no such object.
        """
        before = self._get(resource, name)
        after = {**before, **fields}
        if after == before:
            return before
        if after.get("spec") != before.get("spec"):
            generation = before["metadata"]["generation"] + 1
            after["metadata"] = {**after["metadata"], "generation": generation}
        return self._store(resource, "MODIFIED", before, after)

    def update_metadata(self, resource: str, name: str, **fields: Any) -> Raw:  # noqa: ANN401 - JSON builtins
        """Replace fields of an object's metadata."""
        return self.update(resource, name, metadata={**self._get(resource, name)["metadata"], **fields})

    def remove(self, resource: str, name: str) -> None:
        """Take an object away for good; one that is gone already is fine."""
        before = self._objects[resource].pop(name, None)
        if before is not None:
            self._publish(resource, "DELETED", before, before)

    def delete(
        self,
        resource: str,
        name: str,
        *,
        propagation: str = "Background",
        uid: str | None = None,
        version: str | None = None,
    ) -> None:
        """Delete as a client asks for it: in the foreground a job stays until its pods are gone.

        Raises:
            Problem: There is no such object, or it has another uid or version.
        """
        before = self._get(resource, name)
        found = before["metadata"]["uid"]
        if uid is not None and uid != found:
            message = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {found}"
            raise Problem(HTTPStatus.CONFLICT, "Conflict", message, name=name)
        current = before["metadata"]["resourceVersion"]
        if version is not None and version != current:
            message = f"Precondition failed: ResourceVersion in precondition: {version}, in object meta: {current}"
            raise Problem(HTTPStatus.CONFLICT, "Conflict", message, name=name)
        if resource == PODS or (resource == JOBS and propagation == "Foreground"):
            self.mark_deleted(resource, name)
        else:
            self.remove(resource, name)

    def mark_deleted(self, resource: str, name: str) -> None:
        """Have an object end: whoever runs it takes it away then."""
        metadata = self._get(resource, name)["metadata"]
        if "deletionTimestamp" in metadata:
            return
        if resource == PODS:
            end = self._now() + timedelta(seconds=_POD_GRACE_SECONDS)
            self.update_metadata(PODS, name, deletionTimestamp=format_time(end))
        else:
            self.update_metadata(JOBS, name, deletionTimestamp=format_time(self._now()), finalizers=[FOREGROUND])

    def forget_listings(self) -> None:
        """Compact the history: the rest of a listing that is under way is no longer kept."""
        self._version += 1
        self._oldest_listing = self._version

    # What arrives over HTTP.

    def answer(self, request: Request) -> bytes:
        """Answer a call.

        Raises:
            Problem: It is not granted.
        """
        if request.method == "GET":
            return self._answer_get(request)
        if request.method == "POST":
            return msgspec.json.encode(self.create(request.resource, request.body))
        if request.method == "PUT":
            replace = self._replace_status if request.subresource else self._replace
            return msgspec.json.encode(replace(request))
        if request.method == "DELETE":
            options = request.body or {}
            wanted = options.get("preconditions", {})
            self.delete(
                request.resource,
                request.name,
                propagation=options["propagationPolicy"],
                uid=wanted.get("uid"),
                version=wanted.get("resourceVersion"),
            )
            return b"{}"
        return msgspec.json.encode(self._merge(request))

    def _answer_get(self, request: Request) -> bytes:
        if request.subresource == "log":
            return str(self._get(PODS, request.name).get("log", "")).encode()
        if request.name:
            return msgspec.json.encode(self._get(request.resource, request.name))
        return msgspec.json.encode(self._list_page(request))

    def _list_page(self, request: Request) -> Raw:
        """A page goes on at the name after which the one before it ended, in the version of the first."""
        query = request.query
        items = sorted(
            (each for each in self._objects[request.resource].values() if _is_selected(each, query)), key=_get_name
        )
        version, after = self._version, ""
        if token := query.get("continue"):
            number, after = token.split(":", 1)
            version = int(number)
            if version < self._oldest_listing:
                message = "The provided continue parameter is too old to display a consistent list result"
                raise Problem(HTTPStatus.GONE, "Expired", message)
        rest = [each for each in items if _get_name(each) > after]
        size = min(int(query["limit"]), self._page_size) if "limit" in query else len(rest)
        page = rest[:size]
        metadata = {"resourceVersion": str(version)}
        if len(rest) > size:
            metadata["continue"] = f"{version}:{_get_name(page[-1])}"
        return {"kind": "List", "metadata": metadata, "items": page}

    def _replace(self, request: Request) -> Raw:
        before, metadata = self._get(request.resource, request.name)["metadata"], request.body["metadata"]
        if metadata["resourceVersion"] != before["resourceVersion"]:
            raise build_conflict(request.name)
        kept = {name: value for name, value in before.items() if name not in {"labels", "annotations"}}
        return self.update(request.resource, request.name, metadata={**metadata, **kept}, spec=request.body["spec"])

    def _replace_status(self, request: Request) -> Raw:
        before = self._get(request.resource, request.name)
        metadata = request.body["metadata"]
        if metadata.get("uid") not in {None, "", before["metadata"]["uid"]}:
            message = "Precondition failed: UID in precondition differs from that in object meta"
            raise Problem(HTTPStatus.CONFLICT, "Conflict", message, name=request.name)
        if metadata["resourceVersion"] != before["metadata"]["resourceVersion"]:
            raise build_conflict(request.name)
        # Whatever else the body says is of no account: this is the subresource of the status alone.
        return self.update(request.resource, request.name, status=request.body["status"])

    def _merge(self, request: Request) -> Raw:
        before = self._get(request.resource, request.name)
        version = request.body.get("metadata", {}).get("resourceVersion")
        if version not in {None, before["metadata"]["resourceVersion"]}:
            raise build_conflict(request.name)
        after = _merge(before, request.body)
        return self.update(request.resource, request.name, metadata=after["metadata"], spec=after.get("spec", {}))

    def _get(self, resource: str, name: str) -> Raw:
        found = self._objects[resource].get(name)
        if found is None:
            raise Problem(HTTPStatus.NOT_FOUND, "NotFound", f'{resource} "{name}" not found', name=name)
        return found

    def _store(self, resource: str, kind: str, before: Raw | None, after: Raw) -> Raw:
        # A dictionary keeps the place of a name that it knows: the order is that of creation.
        return self._publish(resource, kind, before, after, stored=self._objects[resource])

    def _publish(
        self, resource: str, kind: str, before: Raw | None, after: Raw, *, stored: dict[str, Raw] | None = None
    ) -> Raw:
        self._version += 1
        version = str(self._version)
        fresh = {**after, "metadata": {**after["metadata"], "resourceVersion": version}}
        raw = msgspec.json.encode(fresh)
        # What came in may hold values that its sender still has.
        kept = msgspec.json.decode(raw, type=Raw)
        name = _get_name(kept)
        if stored is not None:
            stored[name] = kept
        self._on_change(Change(type=kind, resource=resource, name=name, raw=raw, before=before, after=kept))
        return kept


def build_conflict(name: str) -> Problem:
    """Build the answer to a write that starts from an old version."""
    message = (
        f'Operation cannot be fulfilled on estimatesyncs.botzilla.io "{name}": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    return Problem(HTTPStatus.CONFLICT, "Conflict", message, name=name)


def format_time(moment: datetime) -> str:
    """Write a time as Kubernetes does, in whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _get_name(thing: Raw) -> str:
    return str(thing["metadata"]["name"])


def _is_selected(thing: Raw, query: Mapping[str, str]) -> bool:
    labels = thing["metadata"].get("labels", {})
    for term in filter(None, query.get("labelSelector", "").split(",")):
        key, value = term.split("=", 1)
        if labels.get(key) != value:
            return False
    if field := query.get("fieldSelector"):
        return bool(thing["involvedObject"].get("uid") == field.split("=", 1)[1])
    return True


def _merge(target: Raw, patch: Raw) -> Raw:
    """RFC 7386."""
    merged = dict(target)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            merged[key] = _merge(merged.get(key) or {}, value)
        else:
            merged[key] = value
    return merged
