"""What `make mutants` changes, which tests it asks, and that a change which they hold to account does not survive."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from estimatesync_mutants.forked import Answer, Task, run_all
from estimatesync_mutants.main import EQUIVALENT, ROOT, find_modules, load_equivalent
from estimatesync_mutants.mutations import Mutation, count_mutations, describe_mutations, mutate
from estimatesync_mutants.witnesses import Witness, Witnesses

TRIAL = """
from pathlib import Path
import sys
from estimatesync_mutants.mutations import describe_mutations
from estimatesync_mutants.trial import record, try_mutation
from estimatesync_mutants.witnesses import Witnesses, parse_witnesses
from estimatesync_mutants.forked import Task, run_all

root = Path.cwd()
sys.path.insert(0, str(root))
source = Path("shop.py").read_text()
watch = Task(item=0, work=lambda: record(root, root / "tests", ["shop.py"]), processor_seconds=60, seconds=60)
[watched] = run_all([watch], jobs=1, directory=root)
importers = {"shop": frozenset({"tests/test_shop.py"})}
witnesses = Witnesses(parse_witnesses(watched.value["witnesses"]), importers=importers)
everything = list(describe_mutations("shop", Path("shop.py"), source, range(99)))
tasks = [
    Task(item=one, work=lambda m=one: try_mutation(root, m, witnesses.select(m)), processor_seconds=60, seconds=60)
    for one in everything
]
for answer in run_all(tasks, jobs=1, directory=root):
    print(answer.item.before, "|", answer.item.after, "|", answer.value)
"""


def list_changes(source: str) -> list[tuple[str, str]]:
    described = describe_mutations("module", Path("module.py"), source, range(count_mutations(source)))
    return [(one.before, one.after) for one in described]


@pytest.mark.parametrize(
    ("source", "changes"),
    [
        pytest.param("LIMIT: Final = 3", [("LIMIT: Final = 3", "LIMIT: Final = 4")], id="constant"),
        pytest.param("x = a < b", [("x = a < b", "x = a <= b")], id="comparison"),
        pytest.param("x = not a", [("x = not a", "x = a")], id="not"),
        pytest.param("x = a and b", [("x = a and b", "x = a or b")], id="both"),
        pytest.param("x = f(a=b)", [("x = f(a=b)", "without a=b")], id="argument"),
        pytest.param("x = min(a, b)", [("x = min(a, b)", "x = max(a, b)")], id="name"),
        pytest.param("x += y", [("x += y", "x -= y"), ("x += y", "x = y")], id="sum"),
        pytest.param("send(x)", [("send(x)", "pass")], id="statement"),
        pytest.param("[y for y in z if y]", [("[y for y in z if y]", "[y for y in z if not y]")], id="filter"),
        pytest.param("if not a:\n    b = c", [("not a", "a")], id="unless"),
        pytest.param("while a:\n    break", [("a", "not a"), ("break", "continue")], id="loop"),
        pytest.param('x = f"{y}%"', [("x = f'{y}%'", "x = f'{y}XX%'")], id="unit"),
        pytest.param('x = f("Not found.", why="No page.")', [], id="no-sentence"),
        pytest.param("def f(a: int = 1) -> 'str':\n    'doc'", [("1", "2")], id="neither-annotation-nor-docstring"),
        pytest.param("class A(B, frozen=True):\n    'doc'\n    x: 'C' = 1", [("x: 'C' = 1", "x: 'C' = 2")], id="class"),
        pytest.param("class A(Protocol):\n    def f(self, x: int = 1): ...", [], id="protocol"),
        pytest.param("T = TypeVar('T')", [], id="type-variable"),
    ],
)  # fmt: skip
def test_what_is_changed(source: str, changes: list[tuple[str, str]]) -> None:
    assert sorted(list_changes(source)) == sorted(changes)


@pytest.mark.parametrize(("name", "path"), [pytest.param(*module, id=module[0]) for module in find_modules(ROOT)])
def test_every_change_of_every_decision_can_be_compiled_and_differs(name: str, path: Path) -> None:
    """Three of each module, for the sake of time."""
    source = (ROOT / path).read_text()
    original, count = ast.dump(ast.parse(source)), count_mutations(source)

    for number in range(0, count, 1 + count // 3):
        tree = mutate(source, number)
        assert compile(tree, name, "exec")
        assert ast.dump(tree) != original


def test_every_change_that_is_said_to_make_no_difference_is_one_of_the_module() -> None:
    paths = dict(find_modules(ROOT))
    known = load_equivalent(EQUIVALENT)
    texts = {module: (ROOT / paths[module]).read_text() for module in {row.module for row in known}}
    everything = [
        mutation
        for module, text in texts.items()
        for mutation in describe_mutations(module, paths[module], text, range(count_mutations(text)))
    ]

    assert [row for row in known if not any(row.matches(mutation) for mutation in everything)] == []


def test_a_change_is_tried_by_the_tests_that_run_its_line_and_one_of_a_table_by_all_that_use_it() -> None:
    in_a_function = Mutation(
        module="core.plan",
        path=Path("core/plan.py"),
        number=0,
        scope="f",
        line=7,
        lines=range(7, 9),
        before="",
        after="",
    )
    in_a_table = Mutation(
        module="core.plan", path=Path("core/plan.py"), number=0, scope="", line=1, lines=None, before="", after=""
    )
    slow, quick, user, other = (
        Witness(test=f"tests/test_{name}.py::test", seconds=seconds, lines={path: frozenset(lines)})
        for name, seconds, path, lines in (
            ("slow", 9.0, "core/plan.py", {8}),
            ("quick", 1.0, "core/plan.py", {7}),
            ("user", 1.0, "core/user.py", {7}),
            ("other", 1.0, "core/other.py", {7}),
        )
    )
    witnesses = Witnesses([slow, quick, user, other], importers={"core.plan": frozenset({"core/user.py"})})

    assert witnesses.select(in_a_function) == [quick, slow]
    assert sorted(witness.test for witness in witnesses.select(in_a_table)) == sorted(
        witness.test for witness in (slow, quick, user)
    )


def test_changes_that_tests_hold_to_account_are_noticed_and_the_others_survive(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "FREE_FROM = 50\n\n\ndef compute_shipping(total):\n    return 0 if total >= FREE_FROM else 4\n\n\n"
        "def greet(name):\n    return 'Hello' + name\n"
    )
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_shop.py").write_text(
        "from shop import compute_shipping\n\n\ndef test_it():\n"
        "    assert [compute_shipping(total) for total in (49, 51)] == [4, 0]\n"
    )

    run = subprocess.run(
        [sys.executable, "-c", TRIAL], cwd=tmp_path, env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    killer = "tests/test_shop.py::test_it"
    assert sorted(line.strip() for line in run.stdout.splitlines()) == sorted([
        "FREE_FROM = 50 | FREE_FROM = 51 |",
        f"return 0 if total >= FREE_FROM else 4 | return 1 if total >= FREE_FROM else 4 | {killer}",
        f"return 0 if total >= FREE_FROM else 4 | return 0 if total >= FREE_FROM else 5 | {killer}",
        "return 0 if total >= FREE_FROM else 4 | return 0 if total > FREE_FROM else 4 |",
        "return 'Hello' + name | return 'Hello' - name |",
        "return 'Hello' + name | return 'XXHello' + name |",
    ])  # fmt: skip


def loop_for_ever() -> None:
    while True:
        pass


def test_what_never_ends_is_ended_and_what_dies_has_no_answer(tmp_path: Path) -> None:
    tasks = [
        Task(item="loops", work=loop_for_ever, processor_seconds=1, seconds=60),
        Task(item="waits", work=lambda: os.read(os.pipe()[0], 1), processor_seconds=60, seconds=0.5),
        Task(item="raises", work=lambda: 1 // 0, processor_seconds=60, seconds=60),
        Task(item="answers", work=lambda: ["yes"], processor_seconds=60, seconds=60),
    ]

    answers = list(run_all(tasks, jobs=2, directory=tmp_path))

    assert sorted(answers, key=lambda answer: answer.item) == [
        Answer(item="answers", value=["yes"]),
        Answer(item="loops", value=None),
        Answer(item="raises", value=None),
        Answer(item="waits", value=None),
    ]
