"""An alias is answered as its symbol, at every door of a platform."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.platforms import make_platform, settings

from mlengine.app import create_app
from mlengine.bootstrap.platform import Platform
from mlengine.services.predictions.prediction_builder import PredictionRequest

NOW = datetime(2021, 3, 1, tzinfo=UTC)
LINES = "symbol,currency,aliases\nAAA,JPY,TYO:AAA;A-A\nTRIPLE,USD,CCC\n"


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    """The files are those of AAA, BBB and CCC; that of CCC has the bars of TRIPLE."""
    platform = make_platform(tmp_path)
    platform.control.database.dispose()
    (tmp_path / "bars" / "symbols.csv").write_text(LINES)
    return make_platform(tmp_path)


def test_predictions_are_of_the_symbol_and_audited_under_it(platform: Platform) -> None:
    one = platform.predict.predict("TYO:AAA", PredictionRequest("r1", NOW))
    assert one.symbol == "AAA"
    assert one.known_symbol
    names = ["A-A", "BBB", "CCC", "AAA", "NONE"]
    batch = platform.predict.predict_batch(names, PredictionRequest("r2", NOW)).results
    assert [each.symbol for each in batch] == ["AAA", "BBB", "TRIPLE", "AAA", "NONE"]
    again = platform.predict.predict("AAA", PredictionRequest("r3", NOW))
    assert again.bars_hash == one.bars_hash
    model = platform.predict.cached_model()
    assert model is not None
    at_hand = platform.predict.predict_if_cached("A-A", model, PredictionRequest("r4", NOW))
    if at_hand is not None:  # the bars are cached for no time
        assert at_hand.prediction.symbol == "AAA"
    audited = {row.symbol for row in platform.audit.recent(limit=20).rows}
    assert audited == {"AAA", "BBB", "TRIPLE", "NONE"}
    recorded = platform.bars.store.recording_counts(platform.bars.interval)
    assert set(recorded) == {"AAA", "BBB", "TRIPLE"}


def test_features_quality_and_commands_are_of_the_symbol(
    platform: Platform, tmp_path: Path
) -> None:
    asked = {"limit": 1, "as_of": None, "feature_set": None, "now": NOW}
    table = platform.features.table("CCC", **asked)
    assert table.symbol == "TRIPLE"
    assert table.bars_hash == platform.features.table("TRIPLE", **asked).bars_hash
    quality = platform.bar_quality.check_training_bars("CCC", now=NOW)
    assert (quality.symbol, quality.currency) == ("TRIPLE", "USD")
    runner = create_app(settings(tmp_path), platform=platform).test_cli_runner()
    shown = runner.invoke(args=["bars", "show", "TYO:AAA", "--limit", "2"])
    assert shown.exit_code == 0
    assert "AAA" in shown.stdout
    assert "TYO" not in shown.stdout
    checked = json.loads(runner.invoke(args=["bars", "check", "--json"]).stdout)
    assert [each["symbol"] for each in checked["symbols"]] == ["AAA", "BBB", "TRIPLE"]


def test_rest_answers_with_the_symbol(platform: Platform, tmp_path: Path) -> None:
    client = create_app(settings(tmp_path), platform=platform).test_client()
    answer = client.get("/predict", query_string={"symbol": "TYO:AAA"})
    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["symbol"] == "AAA"


def test_a_training_is_of_symbols(platform: Platform, tmp_path: Path) -> None:
    universe = tmp_path / "universe.csv"
    universe.write_text("symbol,from,to\nA-A,2020-01-01,\nBBB,2020-01-01,\nCCC,2020-01-01,\n")
    chosen = settings(tmp_path, TRAIN_SYMBOLS="A-A,AAA,BBB,CCC", TRAIN_UNIVERSE_FILE=str(universe))
    pipeline = platform.run_executor.pipeline
    draft = pipeline.run(
        chosen.train,
        run_id="run",
        actor="test",
        now=NOW,
        progress=lambda _: None,
    )
    manifest = draft.manifest
    assert manifest.spec.symbols == ("AAA", "BBB", "TRIPLE")
    assert set(manifest.data.symbols) == {"AAA", "BBB", "TRIPLE"}
