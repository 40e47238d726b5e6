"""A licence is read from however a wheel states it, and what must not ship is named."""

import pytest
from estimatesync_docs.licences_page import LICENCES, Package, find_faults, parse_licence, read_locked


@pytest.mark.parametrize(
    ("expression", "free_text", "classifiers", "licence"),
    [
        pytest.param("Apache-2.0 AND MIT", None, [], "Apache-2.0 AND MIT", id="an expression"),
        pytest.param(None, "Apache 2.0", [], "Apache-2.0", id="a free text"),
        pytest.param(
            None, "ISC", ["License :: OSI Approved :: BSD License"], "ISC", id="a text, more exact than a classifier"
        ),
        pytest.param(None, None, ["License :: OSI Approved :: MIT License"], "MIT", id="a classifier"),
        pytest.param(
            None, "Copyright (c) …", ["License :: OSI Approved :: MIT License"], "MIT", id="the whole licence as text"
        ),
        pytest.param(None, "Proprietary", ["Topic :: Internet"], "", id="one that is unknown"),
        pytest.param(None, None, [], "", id="none"),
    ],
)
def test_a_licence_is_read_from_what_a_wheel_states(
    expression: str | None, free_text: str | None, classifiers: list[str], licence: str
) -> None:
    assert parse_licence(expression, free_text, classifiers) == licence


@pytest.mark.parametrize("licence", ["AGPL-3.0-only", "MIT AND GPL-2.0-only", ""])
def test_what_must_not_ship_is_named_with_what_to_do(licence: str) -> None:
    good = [Package(name="good", licence=each, places=("api",)) for each in (*LICENCES, "Apache-2.0 AND MIT")]

    (fault,) = find_faults([*good, Package(name="bad", licence=licence, places=("api",))])

    assert fault.startswith("bad has the licence ")
    assert "replace it" in fault


def test_a_lock_is_read_without_what_only_windows_installs() -> None:
    lock = (
        "click==8.5.1 \\\n    --hash=sha256:00\n"
        "colorama==0.4.6 ; sys_platform == 'win32' \\\n    --hash=sha256:00\n"
        "psycopg-binary==3.3.9 ; implementation_name != 'pypy' \\\n    --hash=sha256:00\n"
    )

    assert read_locked(lock) == {"click", "psycopg-binary"}
