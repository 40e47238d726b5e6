import pytest
from estimatesync_release.core.contents import find_faults, read_architecture
from estimatesync_release.core.layers import Entry

PACKAGES = "opt/estimatesync/lib/python3.13/site-packages"
AARCH64 = b"\x7fELF\x02\x01\x01".ljust(18, b"\0") + (183).to_bytes(2, "little")
X86_64 = b"\x7fELF\x02\x01\x01".ljust(18, b"\0") + (62).to_bytes(2, "little")
SCRIPT = b"#!/opt/estimatesync/bin/python\nfrom tool.main import main\n"
WHOLE = {
    "opt/estimatesync/bin/python": Entry(link="/usr/bin/python3.13"),
    "opt/estimatesync/bin/tool": Entry(content=SCRIPT),
    f"{PACKAGES}/tool/__main__.py": Entry(),
    f"{PACKAGES}/tool/main.py": Entry(),
    f"{PACKAGES}/tool/fast.cpython-313-aarch64-linux-gnu.so": Entry(content=AARCH64),
    f"{PACKAGES}/tool.libs/libpq.so.5": Entry(content=AARCH64),
    f"{PACKAGES}/tool/stable.abi3.so": Entry(content=AARCH64),
}


def list_faults(**changes: Entry | None) -> list[str]:
    paths = {path.rpartition("/")[2].replace(".", "_").replace("-", "_"): path for path in WHOLE}
    entries = {path: entry for name, path in paths.items() if (entry := changes.get(name, WHOLE[path]))}
    return find_faults(
        entries, architecture="arm64", python="3.13", entrypoint=["python", "-m", "tool"], secrets=[b"/tmp/build"]
    )


def test_an_image_that_is_whole_has_no_fault() -> None:
    assert list_faults() == []


@pytest.mark.parametrize(
    ("name", "entry", "fault"),
    [
        pytest.param("libpq_so_5", Entry(content=X86_64), "libpq.so.5 is for amd64, not for arm64", id="a library"),
        pytest.param("__main___py", None, "the entrypoint's module tool is not in the image", id="no entrypoint"),
        pytest.param("main_py", None, "tool imports tool.main, which is not in the image", id="no command"),
        pytest.param("python", None, "run by /opt/estimatesync/bin/python, which is not in the image", id="no Python"),
        pytest.param("main_py", Entry(content=b"'/tmp/build/x'"), "main.py holds /tmp/build", id="a path of the build"),
    ],
)
def test_what_is_wrong_with_an_image_is_said(name: str, entry: Entry | None, fault: str) -> None:
    (said,) = list_faults(**{name: entry})

    assert said.endswith(fault)


def test_an_extension_that_python_would_not_import_is_named() -> None:
    path = f"{PACKAGES}/tool/fast.cpython-313-x86_64-linux-gnu.so"

    said = find_faults(
        WHOLE | {path: Entry(content=AARCH64)}, architecture="arm64", python="3.13", entrypoint=[], secrets=[]
    )

    assert said == [f"{path} is not imported: it should end in cpython-313-aarch64-linux-gnu"]


@pytest.mark.parametrize(
    ("head", "architecture"),
    [
        pytest.param(AARCH64, "arm64", id="arm64"),
        pytest.param(X86_64, "amd64", id="amd64"),
        pytest.param(b"\x7fELF\x02\x02\x01".ljust(18, b"\0") + b"\x00\x16", "ELF machine 22", id="s390x"),
        pytest.param(b"#!/bin/sh", None, id="a script"),
        pytest.param(b"\x7fELF", None, id="too short"),
    ],
)
def test_the_architecture_of_a_file_is_in_its_first_bytes(head: bytes, architecture: str | None) -> None:
    assert read_architecture(head) == architecture
