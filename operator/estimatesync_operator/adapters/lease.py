"""The Lease as the API server keeps it."""

from http import HTTPStatus

from estimatesync_kubernetes.client import KubernetesClient, build_path
from estimatesync_kubernetes.errors import AlreadyExistsError, ConflictError, NotFoundError, StatusError

from estimatesync_operator.adapters.kubernetes_api import translate_failures
from estimatesync_operator.core.lease import LEASE_NAME, Lease, parse_lease, to_lease_object
from estimatesync_operator.core.ports import LeaseMovedError, NotServedError


class KubernetesLease:
    """The one Lease of a namespace.

    Its calls raise NotServedError when a right is missing, and BackendUnavailableError when nothing can be said.
    """

    def __init__(self, client: KubernetesClient, namespace: str) -> None:
        self._client = client
        self._namespace = namespace

    async def read(self) -> Lease | None:
        """Read it as it is now; None when there is none."""
        with translate_failures("reading the Lease"):
            try:
                return parse_lease(await self._client.get(self._path(LEASE_NAME)))
            except NotFoundError:
                return None
            except StatusError as error:
                raise _explain(error, "get") from error

    async def write(self, lease: Lease) -> Lease:
        """Create it, or replace exactly the version that was read.

        Raises:
            LeaseMovedError: Another one has written it; nothing was written.
        """
        with translate_failures("writing the Lease"):
            body, verb = to_lease_object(lease), "update" if lease.version else "create"
            try:
                if lease.version:
                    return parse_lease(await self._client.replace(self._path(LEASE_NAME), body))
                return parse_lease(await self._client.create(self._path(), body))
            except (AlreadyExistsError, ConflictError, NotFoundError) as error:
                raise LeaseMovedError from error
            except StatusError as error:
                raise _explain(error, verb) from error

    def _path(self, name: str | None = None) -> str:
        return build_path("coordination.k8s.io/v1", self._namespace, "leases", name)


def _explain(error: StatusError, verb: str) -> Exception:
    if error.code != HTTPStatus.FORBIDDEN:
        return error
    return NotServedError(
        f"The operator may not {verb} leases of coordination.k8s.io: grant its Role in this namespace,"
        f" then start again ({error.explanation})"
    )
