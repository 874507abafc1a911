from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask.testing import FlaskCliRunner
from tests.platforms import make_platform, settings

from mlengine.app import create_app
from mlengine.bootstrap.platform import Platform


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return make_platform(tmp_path, models=4)


@pytest.fixture
def runner(platform: Platform, tmp_path: Path) -> FlaskCliRunner:
    return create_app(settings(tmp_path), platform=platform).test_cli_runner()


def lines(runner: FlaskCliRunner, *arguments: str) -> list[list[str]]:
    result = runner.invoke(args=["models", *arguments])
    assert result.exit_code == 0, result.output
    return [line.split(maxsplit=1) for line in result.stdout.splitlines()[1:]]


def test_a_version_is_pinned_listed_and_unpinned(runner: FlaskCliRunner) -> None:
    said = runner.invoke(args=["models", "pin", "v2", "--reason", "cited"]).stdout
    assert said == "v2 is pinned\n"
    listed = runner.invoke(args=["models", "list"]).stdout.splitlines()
    assert [line.split()[:3] for line in listed[:3]] == [
        ["version", "status", "pinned"],
        ["v1", "active", "no"],
        ["v2", "available", "yes"],
    ]
    assert runner.invoke(args=["models", "unpin", "v2"]).stdout == "v2 is no longer pinned\n"
    assert runner.invoke(args=["models", "unpin", "v2"]).stdout == "v2 was not pinned\n"
    assert "unpinned" in runner.invoke(args=["monitor", "history"]).stdout


def test_pruning_says_first_what_it_would_do(runner: FlaskCliRunner, platform: Platform) -> None:
    expected = [["v1", "kept: active"]]
    expected += [["v2", "would be removed"], ["v3", "would be removed"]]
    expected += [["v4", "kept: newest"]]
    assert lines(runner, "prune", "--keep", "1", "--dry-run") == expected
    said = json.loads(runner.invoke(args=["models", "prune", "--keep", "1", "--json"]).stdout)
    assert said[1] == {"version": "v2", "kept_as": None}
    assert platform.models.registry.versions() == ["v1", "v4"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["prune"], 2),
        (["prune", "--keep", "0"], 2),
        (["pin", "v9"], 3),
        (["pin", "../v1"], 3),
        (["unpin", "v9"], 3),
        (["verify", "v9"], 3),
    ],
)
def test_exit_codes_that_a_script_can_use(
    runner: FlaskCliRunner, arguments: list[str], code: int
) -> None:
    result = runner.invoke(args=["models", *arguments])
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)


def test_verify_tells_what_is_wrong_and_what_is_only_in_the_way(
    runner: FlaskCliRunner, platform: Platform, tmp_path: Path
) -> None:
    directory = platform.models.registry.directory
    (directory / ".staging-dead").mkdir()
    result = runner.invoke(args=["models", "verify"])
    assert (result.exit_code, "run dead left a half-written folder" in result.stdout) == (0, True)
    (directory / "v1").rename(tmp_path / "v1")
    result = runner.invoke(args=["models", "verify"])
    assert result.exit_code == 1
    assert "ACTIVE names v1, which is not there" in result.stdout
    said = json.loads(runner.invoke(args=["models", "verify", "--json"]).stdout)
    assert said["orphans"] == ["dead"]
    assert said["versions"][0] == {"version": "v2", "intact": True, "reason": None}
    (tmp_path / "artifacts" / "audit.db").write_bytes(b"no database")
    platform.control.database.dispose()
    assert "were not looked at" in runner.invoke(args=["models", "verify"]).stdout
