from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlengine.bootstrap import demo as replay
from mlengine.bootstrap.platform import build_platform
from mlengine.cli.demo import demo
from mlengine.config import Settings

TODAY = date(2026, 11, 28)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_env(
        {
            "ARTIFACTS_DIR": str(tmp_path / "artifacts"),
            "MARKET_DATA_DIR": str(tmp_path / "bars"),
            "MARKET_DATA_CACHE_SECONDS": "0",
            "TRAIN_CV_FOLDS": "1",
            "TRAIN_ROUNDS": "5",
        }
    )


def test_a_replayed_stretch_has_predictions_and_a_history(
    settings: Settings, tmp_path: Path
) -> None:
    lines: list[str] = []
    result = replay.simulate_year(
        settings, tmp_path / "bars", today=TODAY, report=lines.append, sessions=21
    )
    assert (result.predictions, result.versions, result.through) == (84, 1, date(2026, 11, 27))
    assert lines == ["2026-10-30: trained v1, active (first_model)"]
    platform = build_platform(settings)
    history = platform.monitoring.history(kind=None, limit=9, cursor=None).rows
    assert [each.kind for each in history][-2:] == ["activated", "trained"]
    fresh = platform.monitoring.freshness(now=datetime(2026, 11, 28, tzinfo=UTC))
    assert {each.symbol: each.stale for each in fresh.symbols} == dict.fromkeys(
        replay.SYMBOLS, False
    )


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    result = CliRunner().invoke(demo, [str(tmp_path)])
    assert (result.exit_code, "is not empty" in result.output) == (2, True)
    assert [each.name for each in tmp_path.iterdir()] == ["mine"]


def test_a_folder_that_can_not_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    result = CliRunner().invoke(demo, [str(tmp_path / "file" / "demo")])
    assert result.exit_code == 1
    assert result.output == f"Error: {tmp_path}/file/demo can't be written: Not a directory\n"
