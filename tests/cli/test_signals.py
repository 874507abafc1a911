from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from flask.testing import FlaskCliRunner
from tests.platforms import NOW, make_platform, settings

from mlengine.app import create_app
from mlengine.bootstrap.platform import Platform
from mlengine.core.signals.signal import Tick


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


def test_the_bars_that_are_scored_are_listed(platform: Platform, runner: FlaskCliRunner) -> None:
    assert run(runner, "signals bars") == "no bar was scored yet\n"
    day = timedelta(days=1)
    plans = platform.control.signal_plans
    tick = Tick(NOW, NOW - day, NOW + day)
    symbols = ["AAA", "BBB", "CCC"]
    plans.plan("main", tick, ("v1", None), symbols, give_up_at=NOW + day, slice_symbols=2, now=NOW)
    (bar,) = json.loads(run(runner, "signals bars --json"))
    assert (bar["symbols"], bar["pending"], bar["completed_at"]) == (3, 3, None)
    assert "2021-02-28" in run(runner, "signals bars")


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "csv"])
def test_the_panel_is_written_to_a_file(
    runner: FlaskCliRunner, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"panel.{suffix}"
    written = json.loads(run(runner, f"signals export {path} --symbol AAA --json"))
    read = {"parquet": pl.read_parquet, "arrow": pl.read_ipc, "csv": pl.read_csv}[suffix]
    assert read(path).height == written["rows"] > 0  # type: ignore[operator]


def test_a_date_is_its_end_as_over_http(runner: FlaskCliRunner, tmp_path: Path) -> None:
    def rows(as_of: str) -> int:
        said = run(runner, f"signals export {tmp_path}/p.csv --as-of {as_of} --json")
        return int(json.loads(said)["rows"])

    day = NOW.date() + timedelta(days=1)
    assert rows(f"{day}") == rows(f"{day + timedelta(days=1)}T00:00:00Z")
    today = datetime.now(UTC).date()
    run(runner, f"signals export {tmp_path}/p.csv --as-of {today}", exit_code=2)


def test_another_interval_is_refused_and_no_file_without_the_past(
    platform: Platform, tmp_path: Path
) -> None:
    app = create_app(settings(tmp_path, MARKET_DATA_INTERVAL="1h"))
    said = run(app.test_cli_runner(), f"signals export {tmp_path}/panel.csv", exit_code=1)
    assert "1h" in said
    assert not (tmp_path / "panel.csv").exists()


def test_what_can_not_be_written_is_refused(runner: FlaskCliRunner, tmp_path: Path) -> None:
    run(runner, f"signals export {tmp_path}/panel.xml", exit_code=2)
    run(runner, f"signals export {tmp_path}/panel.csv --as-of 2100-01-01", exit_code=2)
    run(runner, f"signals export {tmp_path}/panel.csv --version v9", exit_code=3)
