import io
import zipfile
from collections.abc import Callable

import pytest
from estimatesync_release.core.errors import ReleaseError
from estimatesync_release.core.layers import Entry
from estimatesync_release.core.wheels import (
    Interpreter,
    build_environment_entries,
    build_wheel_entries,
    find_interpreter,
    join_entries,
)

FILENAME = "tool-1.0-py3-none-any.whl"
PACKAGES = "opt/estimatesync/lib/python3.13/site-packages"


def test_the_files_of_a_wheel_go_where_an_installer_puts_them(
    build_wheel: Callable[..., bytes], interpreter: Interpreter
) -> None:
    files = {
        "tool/__init__.py": "",
        "tool-1.0.data/scripts/old": "#!python\nprint()\n",
        "tool-1.0.data/platlib/tool/fast.so": b"\x7fELF",
        "tool-1.0.data/data/share/tool.txt": "text",
    }

    entries = build_wheel_entries(FILENAME, build_wheel(files), interpreter)

    assert set(entries) == {
        f"{PACKAGES}/tool/__init__.py",
        f"{PACKAGES}/tool/fast.so",
        f"{PACKAGES}/tool-1.0.dist-info/INSTALLER",
        f"{PACKAGES}/tool-1.0.dist-info/METADATA",
        f"{PACKAGES}/tool-1.0.dist-info/RECORD",
        "opt/estimatesync/bin/old",
        "opt/estimatesync/share/tool.txt",
    }
    script = entries["opt/estimatesync/bin/old"]
    assert (script.content, script.mode) == (b"#!/opt/estimatesync/bin/python\nprint()\n", 0o755)


def test_a_command_of_a_wheel_becomes_a_program_of_the_environment(
    build_wheel: Callable[..., bytes], interpreter: Interpreter
) -> None:
    points = "[console_scripts]\nTool = tool.main:app.run [extra]\n[other]\nx = y\n"

    entries = build_wheel_entries(FILENAME, build_wheel({}, points=points), interpreter)

    script = entries["opt/estimatesync/bin/Tool"]
    assert script.mode == 0o755
    assert script.content.decode().splitlines() == [
        "#!/opt/estimatesync/bin/python",
        "import sys",
        "",
        "from tool.main import app",
        "",
        "sys.exit(app.run())",
    ]


def test_the_record_lists_what_was_laid_out_with_its_checksums(
    build_wheel: Callable[..., bytes], interpreter: Interpreter
) -> None:
    wheel = build_wheel({"tool.py": "x = 1\n"}, points="[console_scripts]\ntool = tool:main\n")

    entries = build_wheel_entries(FILENAME, wheel, interpreter)

    rows = entries[f"{PACKAGES}/tool-1.0.dist-info/RECORD"].content.decode().splitlines()
    assert [row.partition(",")[0] for row in rows] == [
        "../../../bin/tool",
        "tool-1.0.dist-info/INSTALLER",
        "tool-1.0.dist-info/METADATA",
        "tool-1.0.dist-info/entry_points.txt",
        "tool.py",
        "tool-1.0.dist-info/RECORD",
    ]
    assert rows[4] == "tool.py,sha256=nia_NpkRxFwkPGhBR7I_yeHc_PJX0pmhxjIBam_NM_Q,6"


@pytest.mark.parametrize("path", ["../../etc/cron.d/x", "/etc/passwd", "tool/../../x"])
def test_a_wheel_that_would_write_elsewhere_is_refused(path: str, interpreter: Interpreter) -> None:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("tool-1.0.dist-info/RECORD", "")
        archive.writestr(path, "")

    with pytest.raises(ReleaseError, match="which would be outside of the environment"):
        build_wheel_entries(FILENAME, whole.getvalue(), interpreter)


@pytest.mark.parametrize(
    ("paths", "home"),
    [
        pytest.param(["usr/bin/python3.13", "usr/bin/python3"], "/usr/bin", id="Debian's"),
        pytest.param(["usr/local/bin/python3.13", "usr/bin/python3.11"], "/usr/local/bin", id="one of its own"),
    ],
)
def test_the_python_of_a_base_is_found(paths: list[str], home: str) -> None:
    assert find_interpreter(paths) == Interpreter(home=home, version="3.13")


@pytest.mark.parametrize("paths", [["bin/sh"], ["usr/bin/python3.12", "usr/bin/python3.13"]])
def test_a_base_without_a_python_or_with_two_is_refused(paths: list[str]) -> None:
    with pytest.raises(ReleaseError, match="must have one Python 3"):
        find_interpreter(paths)


def test_an_environment_leads_to_the_python_of_the_base(interpreter: Interpreter) -> None:
    entries = build_environment_entries(interpreter)

    assert entries["opt/estimatesync/bin/python"].link == "/usr/bin/python3.13"
    assert b"home = /usr/bin\n" in entries["opt/estimatesync/pyvenv.cfg"].content


def test_two_wheels_may_bring_the_same_file_but_not_two_of_one_name() -> None:
    same = {"a": Entry(content=b"1")}

    assert join_entries([("one", same), ("two", same)]) == same
    with pytest.raises(ReleaseError, match="two and another wheel both bring a"):
        join_entries([("one", same), ("two", {"a": Entry(content=b"2")})])
