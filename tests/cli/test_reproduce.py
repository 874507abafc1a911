from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from flask.testing import FlaskCliRunner
from tests.factories import random_bars
from tests.platforms import make_platform, settings
from tests.services.trained import train

from mlengine.app import create_app
from mlengine.bootstrap.platform import Platform


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    platform = make_platform(tmp_path, models=0)
    train(platform)
    return platform


@pytest.fixture
def runner(platform: Platform, tmp_path: Path) -> FlaskCliRunner:
    return create_app(settings(tmp_path), platform=platform).test_cli_runner()


def test_a_version_is_reproduced_and_its_upstream_asked(
    runner: FlaskCliRunner, tmp_path: Path
) -> None:
    result = runner.invoke(args=["models", "reproduce", "v1", "--upstream"])
    assert result.exit_code == 0, result.output
    assert "v1: identical" in result.stdout
    assert "the upstream's bars are the recorded ones" in result.stdout
    told = json.loads(runner.invoke(args=["models", "reproduce", "v1", "--json"]).stdout)
    assert (told["identical"], told["upstream"], told["differences"]) == (True, None, [])

    random_bars("BBB", rows=400, seed=8).write_parquet(tmp_path / "bars" / "BBB.parquet")
    changed = runner.invoke(args=["models", "reproduce", "v1", "--upstream"])
    assert changed.exit_code == 1
    assert "OTHERS for BBB" in changed.stdout
    assert runner.invoke(args=["models", "reproduce", "v1"]).exit_code == 0


def test_a_version_that_can_not_be_reproduced_exits_with_one(
    runner: FlaskCliRunner, platform: Platform
) -> None:
    registry = platform.models.registry
    manifest = registry.manifest("v1")
    other = registry.publish(
        type(manifest)(**{**vars(manifest), "seed": 7, "run_id": "other"}),
        {name: registry.read("v1", name) for name in manifest.files},
        fence=lambda: None,
    )
    result = runner.invoke(args=["models", "reproduce", other.version])
    assert result.exit_code == 1
    assert "v2: DIFFERENT" in result.stdout
    assert runner.invoke(args=["models", "reproduce", "v9"]).exit_code == 3


def test_the_rows_behind_a_version_are_written(runner: FlaskCliRunner, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    path.write_text("of an earlier time")
    result = runner.invoke(args=["dataset", "export", "v1", "--parquet", str(path)])
    assert result.exit_code == 0, result.output
    rows = pl.read_parquet(path)
    assert rows["fold"].unique().sort().to_list() == [0, 1, 2]
    assert set(rows["role"]) == {"fit", "stop", "test", "holdout", "purged"}
    args = ["dataset", "export", "v1", "--json", "--parquet", str(path)]
    told = json.loads(runner.invoke(args=args).stdout)
    assert told["rows"] == rows.filter(fold=0).height
    assert [entry.name for entry in tmp_path.iterdir() if "rows" in entry.name] == ["rows.parquet"]


def test_a_file_that_can_not_be_written_is_one_line(runner: FlaskCliRunner, tmp_path: Path) -> None:
    path = str(tmp_path / "no folder" / "rows")
    for asked in (
        ["dataset", "export", "v1", "--parquet", path],
        ["models", "card", "v1", "-o", path],
    ):
        result = runner.invoke(args=asked)
        assert result.exit_code == 1
        said = f"cannot_write: {path} can't be written: its folder is not there\n"
        assert result.stderr == said


def test_a_card_is_printed_or_written(runner: FlaskCliRunner, tmp_path: Path) -> None:
    printed = runner.invoke(args=["models", "card", "v1"])
    assert printed.exit_code == 0, printed.output
    assert printed.stdout.startswith("# Model card: v1\n")
    assert "| 2020 |" in printed.stdout
    assert "| AAA |" in printed.stdout
    path = tmp_path / "card.md"
    assert runner.invoke(args=["models", "card", "v1", "-o", str(path)]).stdout == ""
    assert path.read_text() == printed.stdout
