import pytest
from estimatesync_release.core.errors import ReleaseError
from estimatesync_release.core.locks import choose_wheels, format_lock, list_platforms, parse_lock

LOCK = """\
anyio==4.0.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:cc
Typing_Extensions==4.1 ; python_full_version < '3.13' \\
    --hash=sha256:dd
    # via anyio
only-arm==1 ; platform_machine == 'aarch64' \\
    --hash=sha256:ee
"""


@pytest.mark.parametrize(
    ("architecture", "python", "names"),
    [
        pytest.param("amd64", "3.13", ["anyio"], id="amd64"),
        pytest.param("arm64", "3.13", ["anyio", "only-arm"], id="arm64"),
        pytest.param("amd64", "3.12", ["anyio", "typing-extensions"], id="an older Python"),
    ],
)
def test_a_lock_is_read_for_the_machine_of_the_image_and_not_for_this_one(
    architecture: str, python: str, names: list[str]
) -> None:
    pins = parse_lock(LOCK, architecture=architecture, python=python)

    assert list(pins) == names
    assert pins["anyio"].hashes == ("sha256:aa", "sha256:bb")


def test_what_is_left_is_a_lock_without_conditions() -> None:
    pins = parse_lock(LOCK, architecture="arm64", python="3.13")

    assert format_lock(pins) == "anyio==4.0.0 --hash=sha256:aa --hash=sha256:bb\nonly-arm==1 --hash=sha256:ee\n"


@pytest.mark.parametrize("line", ["anyio>=4 --hash=sha256:aa\n", "anyio==4\n"])
def test_a_lock_that_does_not_pin_is_refused(line: str) -> None:
    with pytest.raises(ReleaseError, match=r"without a version or a checksum: run make lock"):
        parse_lock(line, architecture="amd64", python="3.13")


def test_the_best_platform_comes_first_and_none_needs_a_newer_glibc() -> None:
    assert list_platforms("arm64")[0] == "manylinux_2_28_aarch64"
    assert list_platforms("arm64")[-2:] == ["manylinux_2_17_aarch64", "manylinux2014_aarch64"]
    assert list_platforms("amd64")[-1] == "manylinux1_x86_64"


def test_the_wheel_of_each_pin_is_found_however_its_name_is_written() -> None:
    pins = parse_lock("typing-extensions==4.1 --hash=sha256:dd\n", architecture="amd64", python="3.13")

    assert choose_wheels(pins, ["other-1-py3-none-any.whl", "typing_extensions-4.1-py3-none-any.whl"]) == [
        "typing_extensions-4.1-py3-none-any.whl"
    ]
    with pytest.raises(ReleaseError, match=r"no wheel was fetched of typing-extensions 4\.1"):
        choose_wheels(pins, ["typing_extensions-4.0-py3-none-any.whl"])
