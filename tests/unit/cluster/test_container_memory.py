import os
import subprocess
import sys

import pytest
from estimatesync_cluster.test_kubelet.container_runner import parse_quantity, read_resident_bytes

HOLD = "import sys; block = bytearray(64 * 2**20); print('held', flush=True); sys.stdin.read()"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD!r}])"


def test_the_memory_of_children_and_grandchildren_is_counted() -> None:
    before = read_resident_bytes(os.getpid())

    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        held = read_resident_bytes(os.getpid())
        child.communicate()

    assert held - before > 64 * 2**20


def test_a_process_without_children_counts_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert read_resident_bytes(child.pid) == 0
        child.communicate(b"\n")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        pytest.param("250m", 0.25, id="milli"),
        pytest.param("1.5", 1.5, id="fraction"),
        pytest.param("64Mi", 64 * 2**20, id="binary"),
        pytest.param("1k", 1000, id="decimal"),
        pytest.param("1e3", 1000, id="exponent"),
    ],
)
def test_quantities(text: str, number: float) -> None:
    parsed = parse_quantity(text)

    assert parsed == number


def test_an_invalid_quantity_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a quantity: much"):
        parse_quantity("much")
