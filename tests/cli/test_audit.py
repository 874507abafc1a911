from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from flask.testing import FlaskCliRunner
from sqlalchemy import update
from tests.platforms import NOW, SYMBOLS, make_platform, settings

from mlengine.app import create_app
from mlengine.bootstrap.platform import Platform
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.stores.database.engine import writing
from mlengine.stores.database.tables import predictions


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    """Three predictions on each of three days of 2021."""
    platform = make_platform(tmp_path, models=2)
    for days in range(3):
        platform.predict.predict_batch(
            list(SYMBOLS),
            PredictionRequest(
                request_id="r", now=NOW + timedelta(days=days), route="/predict/batch"
            ),
        )
    return platform


@pytest.fixture
def runner(platform: Platform, tmp_path: Path) -> FlaskCliRunner:
    return create_app(settings(tmp_path), platform=platform).test_cli_runner()


def audit(runner: FlaskCliRunner, *arguments: str, code: int = 0) -> str:
    result = runner.invoke(args=["audit", *arguments])
    assert result.exit_code == code, result.output
    return result.stdout


def test_old_predictions_are_counted_and_then_deleted(runner: FlaskCliRunner) -> None:
    old = ("prune", "--older-than", "30")
    assert audit(runner, *old, "--dry-run") == "9 predictions would be deleted\n"
    assert json.loads(audit(runner, *old, "--json")) == {"predictions": 9, "dry_run": False}
    assert audit(runner, *old) == "0 predictions deleted\n"
    assert "audit_pruned" in runner.invoke(args=["monitor", "history"]).stdout


def test_the_setting_says_how_old(tmp_path: Path, platform: Platform) -> None:
    runner = create_app(settings(tmp_path), platform=platform).test_cli_runner()
    result = runner.invoke(args=["audit", "prune"])
    assert (result.exit_code, "say --older-than" in result.stderr) == (2, True)
    kept = make_platform(tmp_path, models=0, AUDIT_RETENTION_DAYS="30")
    runner = create_app(settings(tmp_path), platform=kept).test_cli_runner()
    assert runner.invoke(args=["audit", "prune"]).stdout == "9 predictions deleted\n"


def test_an_export_holds_the_time_that_was_asked_for(
    runner: FlaskCliRunner, tmp_path: Path
) -> None:
    path = tmp_path / "audit.parquet"
    said = audit(runner, "export", "--parquet", str(path), "--since", "2021-03-02")
    assert said == f"6 predictions are in {path}\n"
    asked = ("--since", "2021-03-02", "--until", "2021-03-03T00:00:00Z", "--json")
    said = audit(runner, "export", "--parquet", str(path), *asked)
    assert json.loads(said)["predictions"] == 3
    assert pl.read_parquet(path)["symbol"].to_list() == list(SYMBOLS)
    audit(runner, "export", "--parquet", str(tmp_path / "no" / "x.parquet"), code=1)
    audit(runner, "export", "--parquet", str(path), "--since", "soon", code=2)


def test_a_replay_counts_and_names_what_is_not_identical(
    runner: FlaskCliRunner, platform: Platform
) -> None:
    lines = [line.split() for line in audit(runner, "replay").splitlines()]
    assert lines == [["replayed", "9"], ["identical", "9"], ["upstream", "not_checked", "9"]]
    said = json.loads(audit(runner, "replay", "--sample", "4", "--upstream", "--json"))
    assert (said["replayed"], said["upstream"]["same"], said["others"]) == (4, 4, [])
    assert json.loads(audit(runner, "replay", "--version", "v2", "--json"))["replayed"] == 0
    with writing(platform.audit.store.engine) as connection:
        one = predictions.c.seq == 2
        connection.execute(update(predictions).where(one).values(probability_up=0.5))
    table = audit(runner, "replay", code=1)
    assert "score" in table
    assert "BBB" in table


def test_a_replay_of_gone_models_is_no_difference(
    runner: FlaskCliRunner, platform: Platform
) -> None:
    directory = platform.models.registry.directory
    (directory / "v1").rename(directory / ".away")
    table = audit(runner, "replay", "--since", "2021-03-03")
    assert "there is no model 'v1'" in table
    assert json.loads(audit(runner, "replay", "--json"))["counts"]["model_gone"] == 9
