"""A pod's service account as credentials: what is missing or broken is named, with its file."""

import asyncio
from pathlib import Path

import pytest
import trustme
from estimatesync_contract.settings import SettingsError
from estimatesync_kubernetes.connection import TokenFile, create_api_client
from kubernetes.aio.client import Configuration


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that Kubernetes mounts into a pod."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    (tmp_path / "token").write_text("made-up-token")
    (tmp_path / "namespace").write_text("estimates")
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.crt")
    return tmp_path


def create(account: Path) -> str:
    async def run() -> str:
        client, namespace = await create_api_client(service_account=account)
        await client.close()  # type: ignore[no-untyped-call] # has no types
        return namespace

    return asyncio.run(run())


def test_a_service_account_names_its_namespace(account: Path) -> None:
    assert create(account) == "estimates"


def test_a_volume_without_a_namespace_is_enough_for_a_client(account: Path) -> None:
    (account / "namespace").unlink()

    assert create(account) == ""


@pytest.mark.parametrize(
    ("file", "content"),
    [
        pytest.param("ca.crt", None, id="no authorities"),
        pytest.param("ca.crt", "", id="empty authorities"),
        pytest.param("ca.crt", "garbage", id="authorities that are not PEM"),
        pytest.param("token", None, id="no token"),
        pytest.param("token", " ", id="an empty token"),
    ],
)
def test_what_cannot_be_used_is_a_fault_that_names_its_file(account: Path, file: str, content: str | None) -> None:
    (account / file).unlink()
    if content is not None:
        (account / file).write_text(content)

    with pytest.raises(SettingsError) as caught:
        create(account)

    assert str(account / file) in str(caught.value)


def test_a_token_file_that_is_empty_for_a_moment_leaves_the_token_as_it_was(account: Path) -> None:
    configuration, token = Configuration(), TokenFile(account / "token")
    token.write_into(configuration)

    (account / "token").write_text("")
    token.write_into(configuration)
    before = configuration.api_key["BearerToken"]
    (account / "token").write_text("renewed")
    token.write_into(configuration)

    assert before == "Bearer made-up-token"
    assert configuration.api_key["BearerToken"] == "Bearer renewed"
