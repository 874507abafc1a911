from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask.testing import FlaskCliRunner
from tests.platforms import NOW, make_platform, settings
from tests.published import publish

from mlengine.app import create_app
from mlengine.bootstrap.platform import Platform


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return make_platform(tmp_path)


@pytest.fixture
def runner(platform: Platform, tmp_path: Path) -> FlaskCliRunner:
    return create_app(settings(tmp_path), platform=platform).test_cli_runner()


def run(runner: FlaskCliRunner, arguments: str, *, exit_code: int = 0) -> str:
    result = runner.invoke(args=arguments.split())
    assert result.exit_code == exit_code, result.output
    return result.output


def copied(platform: Platform, runner: FlaskCliRunner) -> Platform:
    run(runner, "lines copy main slow --set horizon_bars=20 --set objective=return")
    line = platform.of_line("slow")
    publish(line.registry.directory, seed=7, run_id="slow", model="slow")
    line.models.activate("v1", actor="ann", reason="first", now=NOW)
    return line


def test_a_line_is_copied_listed_and_retired(platform: Platform, runner: FlaskCliRunner) -> None:
    line = copied(platform, runner)
    spec = line.control.runs.defaults
    assert (spec.horizon_bars, spec.objective, spec.folds) == (20, "return", 2)
    listed = [text.split() for text in run(runner, "lines list").splitlines()[1:]]
    assert [each[:4] for each in listed] == [
        ["main", "active", "v1", "1"],
        ["slow", "active", "v1", "1"],
    ]
    assert run(runner, "lines retire slow") == "slow is retired\n"
    assert [each["state"] for each in json.loads(run(runner, "lines list --json"))] == [
        "active",
        "retired",
    ]


def test_champions_of_two_lines_are_compared(platform: Platform, runner: FlaskCliRunner) -> None:
    copied(platform, runner)
    compared = json.loads(run(runner, "lines compare main slow --json"))
    assert (compared["a"], compared["b"]) == ("v1", "slow/v1")
    assert "slow/v1" in run(runner, "lines compare main slow")
    run(runner, "lines copy main empty")
    assert "no_active_model" in run(runner, "lines compare main empty", exit_code=1)
    run(runner, "lines compare main main", exit_code=2)


def test_what_can_not_be_copied_says_why(platform: Platform, runner: FlaskCliRunner) -> None:
    copied(platform, runner)
    for arguments, exit_code in (
        ("main slow", 1),
        ("main main", 1),
        ("nobody other", 3),
        ("main other --set horizon_bars=0", 1),
        ("main other --set horizon_bars", 2),
    ):
        run(runner, f"lines copy {arguments}", exit_code=exit_code)
    assert len(run(runner, "lines list").splitlines()) == 3


def test_model_names_the_line_of_a_command(platform: Platform, runner: FlaskCliRunner) -> None:
    line = copied(platform, runner)
    publish(line.registry.directory, seed=8, run_id="slow2", model="slow")
    assert len(run(runner, "models list --model slow").splitlines()) == 3
    assert len(run(runner, "models list").splitlines()) == 2
    run(runner, "models activate v2 --model slow")
    assert (line.models.active_version(), platform.models.active_version()) == ("v2", "v1")
    run(runner, "models pin v1 --model slow")
    assert "kept: active" in run(runner, "models prune --keep 1 --dry-run --model slow")
    assert "v2" in run(runner, "predict AAA --model slow")
    (row,) = json.loads(run(runner, "audit tail --model slow --json"))["rows"]
    assert (row["model"], row["model_version"]) == ("slow", "v2")
    assert json.loads(run(runner, "audit tail --json"))["rows"] == []
    history = run(runner, "monitor history --model slow")
    assert "line_created" in history
    assert "line_created" not in run(runner, "monitor history")
    (_, created) = run(runner, "monitor history --all-lines --kind line_created").splitlines()
    assert created.split()[1:3] == ["slow", "line_created"]
    run(runner, "monitor history --all-lines --model slow", exit_code=2)
    result = runner.invoke(args=["train", "schedule", "set", "0 2 * * *", "--model", "slow"])
    assert result.exit_code == 0, result.output
    assert line.control.schedules.timetable(now=NOW).expression == "0 2 * * *"
    assert platform.control.schedules.timetable(now=NOW).expression is None
    assert "identical" in run(runner, "audit replay --model slow")
    run(runner, "models list --model nobody", exit_code=3)


def test_bars_of_a_line_are_those_of_its_recipe(platform: Platform, runner: FlaskCliRunner) -> None:
    run(runner, 'lines copy main slow --set symbols=["BBB"]')
    for line, symbols in (("slow", ["BBB"]), ("main", ["AAA", "BBB", "CCC"])):
        checked = json.loads(run(runner, f"bars check --model {line} --json"))["symbols"]
        assert [(each["symbol"], each["interval"]) for each in checked] == [
            (symbol, "1d") for symbol in symbols
        ]
    assert "BBB" in run(runner, "bars show BBB --model slow")
    assert "return_1" in run(runner, "features show BBB --model slow")
    run(runner, "bars show BBB --model nobody", exit_code=3)
