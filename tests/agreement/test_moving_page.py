"""`docs/moving.md` says what the import and the settings do: commands, keys of the mapping, old names, the Job."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from estimatesync_contract.legacy_settings import DATABASE_BEGINNINGS, OLD_NAMES
from estimatesync_import.core.mapping import ColumnRule, parse_mapping
from estimatesync_import.core.old_schema import OldColumn, OldSchema, OldTable
from estimatesync_import.core.proposal import build_proposal, format_mapping_file
from estimatesync_import.main import build_parser

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "moving.md").read_text()
JOB = (ROOT / "deploy" / "moving" / "import-job.yaml").read_text()
COMMANDS = re.findall(r"^\$ estimatesync-import (.+?)(?: >.*)?$", PAGE, re.MULTILINE)
IN_A_JOB = re.findall(r"args: (\[.+?\])/'", PAGE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_on_the_page_is_one(command: str) -> None:
    assert build_parser().parse_args(shlex.split(command)).command


@pytest.mark.parametrize("arguments", [*IN_A_JOB, "[inspect]"])
def test_every_command_for_the_job_is_one(arguments: str) -> None:
    assert build_parser().parse_args(yaml.safe_load(arguments)).command


def test_each_command_is_shown() -> None:
    assert {command.split()[0] for command in COMMANDS} == {"inspect", "plan", "run", "compare", "handover"}


def test_the_page_explains_each_key_of_a_column() -> None:
    keys = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`column`.*?|`\w+`.*?) \|", PAGE, re.MULTILINE))))

    assert set(ColumnRule.__struct_fields__) <= keys


def test_the_page_lists_every_old_name_that_is_read() -> None:
    others = tuple(beginning for beginning in DATABASE_BEGINNINGS if beginning != "DB_")

    assert all(f"`{beginning}`" in PAGE for beginning in others)
    assert {name for name in OLD_NAMES if not name.startswith(others) and f"`{name}`" not in PAGE} == set()


def test_the_job_meets_what_a_restricted_namespace_asks_for_and_holds_no_secret() -> None:
    pod = yaml.safe_load(JOB)["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert {each["name"] for each in container["env"] if "valueFrom" in each} == {"DATABASE_URL", "OLD_DATABASE_URL"}


def test_a_proposal_is_a_mapping_once_its_lines_are_read_back() -> None:
    columns = (
        ("id", "int4", "N"),
        ("attic_tech_id", "int4", "N"),
        ('the "name" \\ \x7f', "text", "S"),
        ("name", "text", "S"),
    )
    table = OldTable(
        schema="s",
        name="estimate",
        primary_key="id",
        columns=tuple(OldColumn(name=name, type=kind, category=category) for name, kind, category in columns),
    )
    proposal = build_proposal(OldSchema(tables=(table,)), table)

    mapping = parse_mapping(format_mapping_file(proposal).encode())

    assert mapping.old == proposal.old
    assert mapping.columns == {column.target.name: column.rule for column in proposal.columns if column.rule}
