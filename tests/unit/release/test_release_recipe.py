from pathlib import Path

import pytest
from estimatesync_images.commands import DOCKERFILE, PAUSE, TARGETS
from estimatesync_release.core.errors import ReleaseError
from estimatesync_release.core.recipe import build_config, build_settings, find_lock, find_uncompiled, parse_stages

ROOT = Path(__file__).parents[3]
STAGES = parse_stages((ROOT / DOCKERFILE).read_text())
SMALL = """\
ARG PYTHON_IMAGE=base
FROM ${PYTHON_IMAGE} AS install
COPY requirements/a.txt /requirements.txt
RUN make it
FROM ${PYTHON_IMAGE} AS runtime
ARG VERSION=0
# Not read.
ENV A=1 \\
    B="two words"
LABEL version="${VERSION}"
USER 65532:65532
FROM runtime AS api
COPY --from=install /opt/estimatesync /opt/estimatesync
EXPOSE 8080
ENTRYPOINT ["python", "-m", "api"]
"""


def test_an_image_says_what_its_stages_say_from_the_base_on() -> None:
    settings = build_settings(parse_stages(SMALL), "api", {"VERSION": "1.0.0"})

    assert settings.environment == {"A": "1", "B": "two words"}
    assert settings.labels == {"version": "1.0.0"}
    assert (settings.user, settings.ports, settings.entrypoint) == ("65532:65532", ["8080"], ["python", "-m", "api"])
    assert find_lock(parse_stages(SMALL), settings) == "requirements/a.txt"


@pytest.mark.parametrize(
    ("command", "pattern"),
    [
        pytest.param("compileall -x $UNCOMPILED", "/a/(?!b)[.]", id="used"),
        pytest.param("compileall", "", id="not used"),
    ],
)
def test_what_the_dockerfile_leaves_uncompiled_is_left_so(command: str, pattern: str) -> None:
    installing = (
        f'FROM ${{PYTHON_IMAGE}} AS tools\nENV UNCOMPILED="/a/(?!b)[.]"\nFROM tools AS install\nRUN {command}\n'
    )
    stages = parse_stages(SMALL.replace("FROM ${PYTHON_IMAGE} AS install\n", installing))

    assert find_uncompiled(stages, build_settings(stages, "api", {})) == pattern


def test_what_the_base_says_stays_but_for_its_command() -> None:
    settings = build_settings(parse_stages(SMALL), "api", {})
    base = {"Env": ["A=0", "PYTHON_VERSION=3.13.1"], "Cmd": ["python3"], "Labels": {"of": "the base"}}

    config = build_config(settings, base)

    assert config["Env"] == ["A=1", "PYTHON_VERSION=3.13.1", "B=two words"]
    assert config["Labels"] == {"of": "the base", "version": "${VERSION}"}
    assert config["ExposedPorts"] == {"8080/tcp": {}}
    assert "Cmd" not in config


@pytest.mark.parametrize("line", ["RUN rm /etc/passwd", "COPY pyproject.toml /", "VOLUME /data"])
def test_what_would_have_to_be_run_cannot_be_released(line: str) -> None:
    with pytest.raises(ReleaseError, match=r"stage api has `.+`, which a release cannot lay out"):
        build_settings(parse_stages(f"{SMALL}{line}\n"), "api", {})


def test_a_target_that_is_not_there_is_named() -> None:
    with pytest.raises(ReleaseError, match="no stage 'ap'; it has install, runtime, api"):
        build_settings(parse_stages(SMALL), "ap", {})


@pytest.mark.parametrize("target", [*TARGETS, PAUSE])
def test_every_image_of_this_checkout_can_be_laid_out(target: str) -> None:
    settings = build_settings(STAGES, target, {"VERSION": "1", "REVISION": "2", "CREATED": "3"})

    assert settings.entrypoint[0] == "python"
    assert settings.environment["PATH"].startswith("/opt/estimatesync/bin:")
    assert not [value for value in (settings.environment | settings.labels).values() if "${" in value]
    assert (ROOT / find_lock(STAGES, settings)).exists()
    assert (find_uncompiled(STAGES, settings) != "") == (target in {"api", "operator"})
