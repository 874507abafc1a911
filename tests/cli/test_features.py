from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask.testing import FlaskCliRunner
from tests.platforms import make_platform, settings

from mlengine.app import create_app
from mlengine.core.features import BUILTIN, CORE
from mlengine.core.features.catalogue import catalogue_markdown

LEAKING = """
import polars as pl
from mlengine.core.features import Feature, FeatureSet
from mlengine.core.features.kernels import mean

CLOSE = pl.col("close")
TOLD = {"formula": "as it is", "unit": "none", "source": "own", "doc": "Own."}
FEATURE_SETS = (
    FeatureSet(
        name="leaking", version=1, window_bars=12,
        features=(
            Feature(name="fine", expr=CLOSE / mean(CLOSE, bars=10), bars=10, **TOLD),
            Feature(name="ahead", expr=CLOSE.shift(-1) / CLOSE, bars=2, **TOLD),
            Feature(name="filled", expr=(CLOSE / CLOSE.shift(1)).fill_nan(1.0), bars=2, **TOLD),
        ),
    ),
)
"""


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FlaskCliRunner:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "cli_leaking_sets.py").write_text(LEAKING)
    platform = make_platform(tmp_path, models=0, FEATURE_SETS="cli_leaking_sets")
    return create_app(settings(tmp_path), platform=platform).test_cli_runner()


@pytest.mark.parametrize(
    "arguments",
    [
        ["AAA", "--limit", "2", "--json"],
        ["--limit", "2", "AAA", "--json"],
        ["--json", "--limit=2", "AAA"],
        ["show", "AAA", "--limit", "2", "--json"],
    ],
)
def test_a_symbol_stands_where_a_command_may(runner: FlaskCliRunner, arguments: list[str]) -> None:
    result = runner.invoke(args=["features", *arguments])
    assert result.exit_code == 0, result.output
    assert [list(row)[:2] for row in json.loads(result.stdout)] == [["timestamp", "return_1"]] * 2


def test_help_is_that_of_the_group_and_of_each_command(runner: FlaskCliRunner) -> None:
    group = runner.invoke(args=["features", "--help"])
    assert group.exit_code == 0
    assert [line.split()[0] for line in group.stdout.splitlines()[-3:]] == ["check", "list", "show"]
    assert "--as-of" in runner.invoke(args=["features", "AAA", "--help"]).stdout
    assert runner.invoke(args=["features"]).exit_code == 2
    assert runner.invoke(args=["features", "--nonsense"]).exit_code == 2


def test_every_set_is_listed_with_its_declarations(runner: FlaskCliRunner) -> None:
    lines = runner.invoke(args=["features", "list"]).stdout.splitlines()
    assert lines[0].split() == [
        "set", "feature", "window", "look-back", "unit", "range", "source", "formula",
    ]  # fmt: skip
    assert {line.split()[0] for line in lines[1:]} == {*BUILTIN, "leaking"}
    core = runner.invoke(args=["features", "list", "--feature-set", "core", "--json"]).stdout
    (told,) = json.loads(core)
    assert (told["name"], told["hash"], told["window_bars"]) == ("core", CORE.hash, 64)
    assert [feature["name"] for feature in told["features"]] == list(CORE.names)
    assert set(told["features"][0]) == {
        "name", "formula", "bars", "unit", "source", "low", "high", "scale_free", "doc",
    }  # fmt: skip
    assert runner.invoke(args=["features", "list", "--feature-set", "x"]).exit_code == 1


def test_the_page_of_the_documents_is_printed_as_it_is(runner: FlaskCliRunner) -> None:
    page = runner.invoke(args=["features", "list", "--feature-set", "core", "--markdown"]).stdout
    assert page == catalogue_markdown([CORE])


def test_a_leak_is_named_with_its_row_and_exits_with_one(runner: FlaskCliRunner) -> None:
    result = runner.invoke(args=["features", "check", "leaking", "--bars", "40"])
    assert result.exit_code == 1
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["fine", "ok"] in [line[:2] for line in lines]
    ahead = next(line for line in lines if line[0] == "ahead")
    assert ahead[1:4] == ["fails", "future", "AAA"]
    assert ahead[4].startswith("2021-")
    assert ahead[4].endswith("Z")
    assert ["filled", "advice", "missing"] in [line[:3] for line in lines]
    assert result.stdout.endswith("1 of 3 features fail on 120 bars of AAA, BBB, CCC\n")


def test_programs_get_the_verdicts_as_json(runner: FlaskCliRunner) -> None:
    arguments = ["features", "check", "leaking", "--symbol", "BBB", "--symbol", "BBB", "--json"]
    result = runner.invoke(args=[*arguments, "--bars", "40"])
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert (told["ok"], told["symbols"], told["rows"]) == (False, ["BBB"], 40)
    fine, ahead, filled = told["features"]
    assert (fine["ok"], fine["breaches"], fine["advice"]) == (True, [], [])
    assert (filled["ok"], len(filled["advice"])) == (True, 1)
    first = ahead["breaches"][0]
    assert (ahead["ok"], first["test"], first["symbol"]) == (False, "future", "BBB")
    assert isinstance(first["expected"], float)


def test_a_clean_set_exits_with_zero(runner: FlaskCliRunner) -> None:
    result = runner.invoke(args=["features", "check", "core", "--symbol", "AAA", "--bars", "90"])
    assert result.exit_code == 0, result.output
    assert f"0 of {len(CORE.names)} features fail on 90 bars of AAA" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nothing"], 1),
        (["core", "--symbol", "NONE"], 3),
        (["core", "--symbol", "AAA", "--bars", "64"], 1),
        (["core", "--bars", "-1"], 2),
    ],
)
def test_what_can_not_be_checked_is_one_line(
    runner: FlaskCliRunner, arguments: list[str], code: int
) -> None:
    result = runner.invoke(args=["features", "check", *arguments])
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
