"""The oldest supported Kubernetes, whatever others run on; `make test-oldest` runs some of their tests on it, too."""

import os
from collections.abc import Iterator

import pytest
from estimatesync_cluster.cluster import Cluster, running_cluster
from estimatesync_cluster.go_build import OLDEST
from estimatesync_cluster.programs import TEST_KUBERNETES, Binaries, find_binaries
from estimatesync_cluster.terminal import report


@pytest.fixture(scope="session")
def programs() -> Binaries:
    return find_binaries(environ={**os.environ, TEST_KUBERNETES: OLDEST}, report=report)


@pytest.fixture(scope="session")
def cluster(programs: Binaries) -> Iterator[Cluster]:
    with running_cluster(binaries=programs) as running:
        yield running
