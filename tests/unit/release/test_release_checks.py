from collections.abc import Iterable

import pytest
from estimatesync_release.core.checks import PAGES, PLACES, Checkout, cut_notes, find_blockers

TEXTS = {
    "pyproject.toml": 'name = "estimatesync"\nversion = "1.0.0"\n',
    "charts/estimatesync/Chart.yaml": "apiVersion: v2\nversion: 1.0.0\nappVersion: 1.0.0\n",
    "deploy/moving/import-job.yaml": "          image: estimatesync-sync:1.0.0\n",
    "deploy/compose/compose.yaml": "    image: ${ESTIMATESYNC_IMAGE:-estimatesync-server:1.0.0}\n",
    "SECURITY.md": "$ cosign verify ghcr.io/OWNER/estimatesync-api:1.0.0 \\\n release.yaml@refs/tags/v1.0.0\n",
    "docs/one-server.md": "$ uv tool install 'estimatesync @ ./estimatesync-1.0.0-py3-none-any.whl'\n",
    "CHANGELOG.md": "# Changelog\n\n## 1.0.0 (2026-12-01)\n\nThe first.\n",
}


def list_blockers(
    version: str = "1.0.0", *, paths: Iterable[str] = (), changed: tuple[str, ...] = (), **texts: str
) -> list[str]:
    replaced = {next(path for path in TEXTS if name in path.lower()): text for name, text in texts.items()}
    found = find_blockers(Checkout(texts=TEXTS | replaced, paths=paths, changed=changed), version)
    return [*found.versions, *found.others]


def test_a_checkout_that_says_one_version_everywhere_is_a_release() -> None:
    assert {*PLACES, *PAGES, "CHANGELOG.md"} == set(TEXTS)
    assert list_blockers() == []


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        pytest.param(
            "pyproject",
            'version = "0.9.0"\n',
            "pyproject.toml says version 0.9.0: set it to 1.0.0, or release 0.9.0",
            id="the package",
        ),
        pytest.param(
            "chart.yaml",
            'version: 1.0.0\nappVersion: "0.9.0"\n',
            "charts/estimatesync/Chart.yaml says appVersion 0.9.0: set it to 1.0.0, or release 0.9.0",
            id="what the chart installs",
        ),
        pytest.param(
            "import-job",
            "image: other\n",
            "deploy/moving/import-job.yaml does not say the image's tag: set it to 1.0.0",
            id="an example that says nothing",
        ),
        pytest.param(
            "one-server",
            "$ uv tool install ./estimatesync-1.0.0-py3.whl\n$ uv tool install ./estimatesync-0.9.0-py3.whl\n",
            "docs/one-server.md says a wheel of 0.9.0: set it to 1.0.0, or release 0.9.0",
            id="a page that says both",
        ),
        pytest.param(
            "security",
            "ghcr.io/OWNER/estimatesync-api:1.0.0 release.yaml@refs/tags/v1.0.0 release.yaml@refs/tags/v0.9.0",
            "SECURITY.md says a tag of git 0.9.0: set it to 1.0.0, or release 0.9.0",
            id="a page that verifies another tag",
        ),
        *(
            pytest.param(
                "changelog",
                text,
                "CHANGELOG.md has no section `## 1.0.0 (YYYY-MM-DD)` with notes: see CONTRIBUTING.md, and commit it",
                id=why,
            )
            for text, why in {
                "## 1.0.0 (unreleased)\n\nThe first.\n": "a changelog of something unreleased",
                "## 1.0.01 (2026-12-01)\n\nThe first.\n": "a changelog of another version",
                "## 1.0.0\n\nThe first.\n": "a changelog without a day",
                "## [1.0.0] - 2026-12-01\n\nThe first.\n": "a heading of another form",
                "## 1.0.0 (2026-12-01)\n\n## 0.9.0 (2026-11-01)\n\nOld.\n": "a changelog without notes",
            }.items()
        ),
    ],
)
def test_each_file_that_says_something_else_is_named_with_what_to_do(name: str, text: str, sentence: str) -> None:
    assert list_blockers(**{name: text}) == [sentence]


def test_what_is_not_committed_and_fragments_that_are_left_stop_a_release() -> None:
    said = list_blockers(paths=["changelog.d/a.fix.md", "changelog.d/README.md"], changed=("README.md",))

    assert said == [
        "These files are not as committed: README.md. Commit them, or put them back",
        "1 fragments are not in CHANGELOG.md yet, such as changelog.d/a.fix.md",
    ]


@pytest.mark.parametrize(
    "version", ["", "1", "v1.0.0", "1.1.0-rc.1", "1.1.0rc1", "1.0.0 ", "1.0.0\n", "01.0.0", "1.0.٣"]
)
def test_what_is_no_version_is_refused_before_anything_is_compared(version: str) -> None:
    (said,) = list_blockers(version)

    assert said.endswith("is not a version such as 1.0.0; there are no pre-releases: DRAFT=1 tries what comes")


def test_the_notes_are_what_the_changelog_says_of_the_version_alone() -> None:
    changelog = "# Changelog\n\n## 1.1.0 (2027-01-02)\n\n### Added\n\n- A.\n\n## 1.0.0 (2026-12-01)\n\nThe first.\n"

    assert cut_notes(changelog, "1.1.0") == "### Added\n\n- A.\n"
    assert cut_notes(changelog, "1.0.0") == "The first.\n"
