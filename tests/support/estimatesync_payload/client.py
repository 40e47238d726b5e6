"""Payload's REST API for those who fill it and work in it; safe to use from several threads."""

from types import TracebackType
from typing import Any, Final, Self

import httpx

from estimatesync_payload.server import RunningPayload, User

Document = dict[str, Any]

_TIMEOUT_SECONDS: Final = 600.0


class PayloadClient:
    """Someone who is logged in. Every method raises `httpx.HTTPStatusError` for a refusal."""

    def __init__(self, served: RunningPayload, user: User) -> None:
        self._http: Final = httpx.Client(base_url=f"{served.url}/api", timeout=_TIMEOUT_SECONDS)
        login = self._send("POST", "/users/login", {"email": user.email, "password": user.password})
        self._http.headers["Authorization"] = f"Bearer {login['token']}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._http.close()

    def read_all(self, collection: str, *, depth: int) -> list[Document]:
        """Read every document, in the order of their ids."""
        docs: list[Document] = self._send("GET", f"/{collection}?limit=0&sort=id&depth={depth}")["docs"]
        return docs

    def create(self, collection: str, document: Document) -> Document:
        """Create a document, and return it with its relations as ids."""
        created: Document = self._send("POST", f"/{collection}?depth=0", document)["doc"]
        return created

    def edit(self, collection: str, identity: int, changes: Document) -> None:
        self._send("PATCH", f"/{collection}/{identity}?depth=0", changes)

    def edit_all(self, collection: str, changes: Document) -> None:
        """Edit every document in one request."""
        self._send("PATCH", f"/{collection}?depth=0&where[id][exists]=true", changes)

    def delete(self, collection: str, identity: int) -> None:
        self._send("DELETE", f"/{collection}/{identity}?depth=0")

    def unlock(self, email: str) -> None:
        """Let someone log in again who used too many wrong passwords."""
        self._send("POST", "/users/unlock", {"email": email})

    def _send(self, method: str, path: str, body: Document | None = None) -> Any:  # noqa: ANN401 - any JSON value
        answer = self._http.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json()
