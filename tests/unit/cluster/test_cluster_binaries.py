"""Which programs are taken, and when they are built again."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from estimatesync_cluster.errors import BuildError, SettingError
from estimatesync_cluster.go_build import PROGRAM_NAMES
from estimatesync_cluster.programs import TEST_KUBERNETES, Binaries, find_binaries
from estimatesync_cluster.real_node import find_node_tools

VERSION = "v1.2.3"
OLDEST_VERSION = "v1.1.9"


class FakeBuilder:
    """Stands where the compiler does: writes one small program each, or fails after the first."""

    def __init__(self) -> None:
        self.builds = 0
        self.fails = False

    def __call__(
        self, *, sources: Path, output: Path, cache: Path, git_version: str, report: Callable[[str], None]
    ) -> None:
        self.builds += 1
        for name in PROGRAM_NAMES:
            write_program(output / name, f"{name} {git_version} {self.builds}")
            if self.fails:
                raise BuildError(f"out of disk, {sources} {cache}")
        report("built")


def write_program(path: Path, content: str) -> None:
    path.write_text(content)
    path.chmod(0o755)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    root = tmp_path / "go"
    for module, version in (("etcd", "v3.0.0"), ("kubernetes", VERSION), ("kubernetes-oldest", OLDEST_VERSION)):
        (root / module).mkdir(parents=True)
        (root / module / "go.mod").write_text(f"module x\n\nrequire k8s.io/kubernetes {version}\n")
        (root / module / "go.sum").write_text("sums")
        (root / module / "tools.go").write_text("package tools")
    return root


@pytest.fixture
def builder() -> FakeBuilder:
    return FakeBuilder()


@pytest.fixture
def find(tmp_path: Path, sources: Path, builder: FakeBuilder) -> Callable[..., Binaries]:
    def find_with(lines: list[str] | None = None, **environ: str) -> Binaries:
        report = [] if lines is None else lines
        environ = {"XDG_CACHE_HOME": str(tmp_path / "cache"), **environ}
        return find_binaries(environ=environ, report=report.append, sources=sources, builder=builder)

    return find_with


def test_first_use_builds_into_a_directory_of_the_version(find: Callable[..., Binaries], tmp_path: Path) -> None:
    found = find()

    assert found.directory == tmp_path / "cache" / "estimatesync" / "kubernetes" / VERSION
    assert found.apiserver.read_text() == f"kube-apiserver {VERSION} 1"
    assert {entry.name for entry in found.directory.iterdir()} == {*PROGRAM_NAMES, "manifest.json"}


def test_second_use_builds_nothing(find: Callable[..., Binaries], builder: FakeBuilder) -> None:
    first = find()

    second = find()

    assert (second, builder.builds) == (first, 1)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda directory: (directory / "etcd").write_text("etc"), id="half-written program"),
        pytest.param(lambda directory: (directory / "etcd").unlink(), id="missing program"),
        pytest.param(lambda directory: (directory / "etcd").chmod(0o600), id="program that cannot be run"),
        pytest.param(lambda directory: (directory / "manifest.json").write_text("{"), id="half-written manifest"),
        pytest.param(lambda directory: (directory / "manifest.json").unlink(), id="missing manifest"),
    ],
)
def test_damaged_cache_is_built_again(
    find: Callable[..., Binaries], builder: FakeBuilder, damage: Callable[[Path], object]
) -> None:
    damage(find().directory)

    found = find()

    assert builder.builds == 2
    assert found.etcd.read_text() == f"etcd {VERSION} 2"


@pytest.mark.parametrize("name", ["go.mod", "go.sum", "tools.go"])
def test_changed_input_is_built_again(
    find: Callable[..., Binaries], builder: FakeBuilder, sources: Path, name: str
) -> None:
    find()
    changed = sources / "etcd" / name
    changed.write_text(changed.read_text() + "\n")

    find()

    assert builder.builds == 2


def test_failed_build_leaves_nothing_and_the_next_one_succeeds(
    find: Callable[..., Binaries], builder: FakeBuilder, tmp_path: Path
) -> None:
    builder.fails = True
    with pytest.raises(BuildError, match="out of disk"):
        find()
    left = [entry.name for entry in (tmp_path / "cache" / "estimatesync" / "kubernetes").iterdir()]
    builder.fails = False

    found = find()

    assert left == [f"{VERSION}.lock"]
    assert found.etcd.exists()


def test_leftover_of_a_killed_build_is_removed(find: Callable[..., Binaries], tmp_path: Path) -> None:
    leftover = tmp_path / "cache" / "estimatesync" / "kubernetes" / f".unfinished-{VERSION}-abc"
    leftover.mkdir(parents=True)
    (leftover / "etcd").write_text("half")

    find()

    assert not leftover.exists()


def test_two_at_once_build_once(find: Callable[..., Binaries], builder: FakeBuilder) -> None:
    threads = [threading.Thread(target=find) for _ in range(4)]

    for each in threads:
        each.start()
    for each in threads:
        each.join(timeout=60)

    assert builder.builds == 1


def test_complete_assets_come_first(find: Callable[..., Binaries], builder: FakeBuilder, tmp_path: Path) -> None:
    for name in PROGRAM_NAMES:
        write_program(tmp_path / name, "ready")

    found = find(KUBEBUILDER_ASSETS=str(tmp_path))

    assert (found.directory, builder.builds) == (tmp_path, 0)


def test_incomplete_assets_are_named_and_passed_over(find: Callable[..., Binaries], tmp_path: Path) -> None:
    write_program(tmp_path / "etcd", "ready")
    write_program(tmp_path / "kube-apiserver", "ready")
    write_program(tmp_path / "kube-controller-manager", "ready")
    lines: list[str] = []

    found = find(lines, KUBEBUILDER_ASSETS=str(tmp_path))

    assert found.directory.name == VERSION
    assert lines[0] == f"KUBEBUILDER_ASSETS ({tmp_path}) has no kube-scheduler; using the cache instead"


def test_the_oldest_kubernetes_is_kept_beside_the_newest(find: Callable[..., Binaries], builder: FakeBuilder) -> None:
    newest = find()

    oldest = find(**{TEST_KUBERNETES: "oldest"})

    assert (newest.directory.name, oldest.directory.name) == (VERSION, OLDEST_VERSION)
    assert oldest.apiserver.read_text() == f"kube-apiserver {OLDEST_VERSION} 2"
    assert (find(**{TEST_KUBERNETES: "newest"}), find(**{TEST_KUBERNETES: ""}), builder.builds) == (newest, newest, 2)


def test_assets_of_a_version_that_nobody_knows_are_not_the_oldest(
    find: Callable[..., Binaries], tmp_path: Path
) -> None:
    for name in PROGRAM_NAMES:
        write_program(tmp_path / name, "ready")

    found = find(KUBEBUILDER_ASSETS=str(tmp_path), **{TEST_KUBERNETES: "oldest"})

    assert found.directory.name == OLDEST_VERSION


def test_another_version_is_refused_with_those_that_there_are(find: Callable[..., Binaries]) -> None:
    with pytest.raises(SettingError, match=r"ESTIMATESYNC_TEST_KUBERNETES is '1\.30': set it to newest or oldest"):
        find(**{TEST_KUBERNETES: "1.30"})


def test_a_real_node_of_the_oldest_kubernetes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TEST_KUBERNETES, "oldest")

    with pytest.raises(SettingError, match="A real node is of the newest Kubernetes only"):
        find_node_tools()
