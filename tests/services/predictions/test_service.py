from __future__ import annotations

import math
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pytest
from tests.factories import START, random_bars
from tests.platforms import NOW, ROWS, SYMBOLS, bars_folder, make_platform, window
from tests.published import TRAINED_THROUGH, publish
from tests.upstream import LoopbackUpstream

from mlengine.bootstrap.platform import Platform
from mlengine.core.features import BUILTIN, CORE, compute
from mlengine.core.monitoring.drift.archive import arrays_of_novelty
from mlengine.core.monitoring.drift.distances import sort_columns
from mlengine.core.monitoring.drift.grid import FeatureGrid
from mlengine.core.monitoring.drift.tallies import PanelRows
from mlengine.core.monitoring.novelty import build_novelty
from mlengine.core.predictions.prediction import FailedPrediction, Prediction
from mlengine.core.predictions.usability import UsabilityLimits
from mlengine.errors import (
    DatabaseUnavailable,
    InsufficientBars,
    ModelNotFound,
    NoActiveModel,
    UnknownSymbol,
    UpstreamUnavailable,
)
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.stores.system import array_files

LAST_BAR = START + timedelta(days=ROWS - 1)


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return make_platform(tmp_path)


def ask(
    platform: Platform,
    symbol: str = "AAA",
    *,
    as_of: datetime | None = None,
    version: str | None = None,
    explain: bool = False,
) -> Prediction:
    return platform.predict.predict(
        symbol,
        PredictionRequest(as_of=as_of, version=version, explain=explain, request_id="req", now=NOW),
    )


def ask_all(
    platform: Platform, symbols: list[str], *, as_of: datetime | None = None
) -> tuple[Prediction | FailedPrediction, ...]:
    batch = platform.predict.predict_batch(
        symbols,
        PredictionRequest(as_of=as_of, request_id="req", now=NOW, route="/predict/batch"),
    )
    return batch.results


def test_a_prediction_says_what_it_is_made_of(platform: Platform) -> None:
    made = ask(platform)
    assert made.bar_timestamp == LAST_BAR
    assert made.as_of == NOW
    assert made.model_version == "v1"
    assert made.model_verdict == platform.loader.active().manifest.verdict.verdict
    assert made.known_symbol
    assert not made.in_sample
    assert not made.degraded
    assert made.contributions is None
    assert made.latency_ms.total >= 0
    assert not ask(platform, "BBB").known_symbol


def test_every_prediction_stands_in_the_audit(platform: Platform) -> None:
    made = ask(platform)
    (row,) = platform.audit.recent(limit=10).rows
    assert row.prediction_id == made.prediction_id
    assert row.probability_up == made.probability_up
    assert row.bars_hash == made.bars_hash
    inputs = platform.replay.inputs.get(made.prediction_id)
    assert inputs is not None
    assert inputs.window is not None
    assert inputs.window.equals(window("AAA"))


@pytest.mark.parametrize(
    ("symbol", "error", "code"),
    [("NONE", UnknownSymbol, "unknown_symbol")],
)
def test_a_failure_is_audited_before_it_is_raised(
    platform: Platform, symbol: str, error: type[Exception], code: str
) -> None:
    with pytest.raises(error):
        ask(platform, symbol)
    (row,) = platform.audit.recent(limit=10).rows
    assert (row.ok, row.error_code, row.symbol) == (False, code, symbol)


def test_before_the_first_full_window_the_first_possible_moment_is_named(
    platform: Platform,
) -> None:
    for days in (-5, 1, 63):
        with pytest.raises(InsufficientBars) as refused:
            ask(platform, as_of=START + timedelta(days=days))
        assert (refused.value.needed, refused.value.got) == (64, max(days, 0))
        assert refused.value.first_possible == START + timedelta(days=64)
    first = ask(platform, as_of=refused.value.first_possible)
    assert first.bar_timestamp == START + timedelta(days=63)


def test_what_was_answered_then_is_answered_again_as_of_then(
    platform: Platform, tmp_path: Path
) -> None:
    then = START + timedelta(days=300)
    live_then = make_platform(tmp_path / "then", models=0)
    random_bars("AAA", rows=ROWS).head(300).write_parquet(tmp_path / "then/bars/AAA.parquet")
    publish(live_then.models.registry.directory)
    live_then.models.activate("v1", actor="test", reason="", now=then)
    live = live_then.predict.predict("AAA", PredictionRequest(request_id="r", now=then))
    again = ask(platform, as_of=then)
    assert live.bars_hash == again.bars_hash
    assert live.probability_up == again.probability_up
    assert live.stale == again.stale
    assert (live.bar_timestamp, live.as_of) == (again.bar_timestamp, again.as_of)


def test_a_bar_the_model_was_trained_on_is_in_sample(platform: Platform) -> None:
    day = timedelta(days=1)
    assert ask(platform, as_of=TRAINED_THROUGH + day).in_sample
    assert not ask(platform, as_of=TRAINED_THROUGH + 2 * day).in_sample


def test_choosing_by_the_holdout_counts_as_having_seen_it(tmp_path: Path) -> None:
    platform = make_platform(tmp_path, models=0)
    later = TRAINED_THROUGH + timedelta(days=30)
    publish(platform.models.registry.directory, selected_through=later)
    made = ask(platform, as_of=later, version="v1")
    assert made.in_sample


def test_the_label_of_a_delayed_model_begins_a_bar_later(tmp_path: Path) -> None:
    platform = make_platform(tmp_path, models=0)
    publish(platform.models.registry.directory, label_delay_bars=1)
    day = timedelta(days=1)
    assert ask(platform, as_of=TRAINED_THROUGH, version="v1").in_sample
    assert not ask(platform, as_of=TRAINED_THROUGH + day, version="v1").in_sample


def test_old_bars_are_stale_by_the_moment_that_was_asked_for(platform: Platform) -> None:
    final = LAST_BAR + timedelta(days=1)
    assert not ask(platform, as_of=final).stale
    assert ask(platform, as_of=final + timedelta(days=5)).stale


def test_contributions_sum_to_the_raw_score(platform: Platform) -> None:
    made = ask(platform, explain=True)
    assert made.contributions is not None
    assert made.probability_up is not None
    sizes = [abs(part.contribution) for part in made.contributions]
    assert sizes == sorted(sizes, reverse=True)
    model = platform.models.loader.active()
    assert {part.feature for part in made.contributions} == set(model.feature_set.names)
    assert made.base_value is not None
    assert made.raw_score is not None
    total = made.base_value + sum(part.contribution for part in made.contributions)
    assert total == pytest.approx(made.raw_score, abs=1e-12)
    logit = math.log(made.probability_up / (1 - made.probability_up))
    assert made.raw_score == pytest.approx(logit, abs=1e-12)
    others = ask(platform, "BBB", explain=True)
    assert others.base_value == made.base_value


def test_a_named_version_answers_beside_the_active_one(tmp_path: Path) -> None:
    platform = make_platform(tmp_path, models=2)
    assert ask(platform, version="v2").model_version == "v2"
    assert ask(platform).model_version == "v1"
    with pytest.raises(ModelNotFound):
        ask(platform, version="v3")
    assert platform.audit.recent(limit=1).rows[0].model_version == "v3"


def test_no_active_model_is_audited(tmp_path: Path) -> None:
    platform = make_platform(tmp_path, models=0)
    with pytest.raises(NoActiveModel):
        ask(platform)
    assert platform.audit.recent(limit=1).rows[0].error_code == "no_active_model"


def test_a_refused_active_model_makes_answers_degraded(tmp_path: Path) -> None:
    platform = make_platform(tmp_path, models=2)
    assert not ask(platform).degraded
    path = platform.models.registry.directory / "v2" / "model.txt"
    path.write_bytes(b"broken")
    platform.models.registry.activate("v2", actor="x", reason="", now=NOW)
    made = ask(platform)
    assert (made.model_version, made.degraded) == ("v1", True)


def test_a_return_model_answers_in_returns(tmp_path: Path) -> None:
    platform = make_platform(tmp_path, models=0)
    publish(platform.models.registry.directory, objective="return")
    made = ask(platform, version="v1")
    assert made.probability_up is None
    assert made.confidence is None
    assert made.expected_return is not None
    assert made.prediction == ("up" if made.expected_return > 0 else "down")


def test_a_batch_equals_its_single_calls_in_the_order_asked(platform: Platform) -> None:
    asked = ["CCC", "NONE", "AAA", "BBB", "AAA"]
    results = ask_all(platform, asked)
    assert [result.symbol for result in results] == asked
    assert len({result.prediction_id for result in results}) == len(asked)
    for result in results:
        if isinstance(result, FailedPrediction):
            assert result.error_code == "unknown_symbol"
        else:
            single = ask(platform, result.symbol)
            assert result.probability_up == single.probability_up
            assert result.bars_hash == single.bars_hash
    rows = platform.audit.recent(limit=100).rows
    assert {r.prediction_id for r in results} <= {row.prediction_id for row in rows}


def test_a_hundred_symbols_with_thirty_seven_bad_ones_answer_as_single_calls(
    tmp_path: Path,
) -> None:
    good = [f"G{number:02d}" for number in range(63)]
    platform = make_platform(tmp_path, MARKET_DATA_CACHE_SECONDS="5")
    bars_folder(tmp_path / "bars", symbols=tuple(good), rows=80)
    bars_folder(tmp_path / "bars", symbols=tuple(f"SHORT{n}" for n in range(7)), rows=20)
    bad = [f"NONE{n}" for n in range(30)] + [f"SHORT{n}" for n in range(7)]
    asked = [name for pair in zip_longest(good, bad) for name in pair if name]
    alone = make_platform(tmp_path, models=0)
    results = ask_all(platform, asked)
    assert [result.symbol for result in results] == asked
    answered = [made for made in results if isinstance(made, Prediction)]
    assert len(answered) == 63
    for made in answered:
        single = ask(alone, made.symbol)
        assert (made.probability_up, made.bars_hash) == (single.probability_up, single.bars_hash)
    codes = [made.error_code for made in results if isinstance(made, FailedPrediction)]
    assert sorted(codes) == ["insufficient_bars"] * 7 + ["unknown_symbol"] * 30
    again = ask_all(platform, asked)
    assert [getattr(made, "probability_up", None) for made in again] == [
        getattr(made, "probability_up", None) for made in results
    ]


def test_kept_rows_are_those_of_the_asked_feature_set(tmp_path: Path) -> None:
    platform = make_platform(tmp_path, MARKET_DATA_CACHE_SECONDS="60")
    publish(platform.models.registry.directory, feature_set=BUILTIN["alpha158"])
    for version in ("v1", "v2", "v1", "v2"):
        made = ask(platform, version=version)
        set_name = platform.models.loader.get(version).feature_set.name
        assert made.feature_set.name == set_name
        fresh = make_platform(tmp_path, models=0)
        assert ask(fresh, version=version).probability_up == made.probability_up


def test_limits_say_why_a_prediction_is_not_usable(platform: Platform) -> None:
    final = LAST_BAR + timedelta(days=1)
    limits = UsabilityLimits(max_bar_age_bars=3, max_model_age_days=45)
    strict = replace(platform.predict, limits=limits)
    asked = {"version": None, "explain": False, "request_id": "r", "now": NOW}
    fresh = strict.predict("AAA", PredictionRequest(as_of=final, **asked))
    assert (fresh.usable, fresh.reasons) == (True, ())
    old = strict.predict("AAA", PredictionRequest(as_of=final + timedelta(days=7), **asked))
    assert (old.usable, old.reasons) == (False, ("bar_too_old",))
    assert old.probability_up == fresh.probability_up
    assert ask(platform, as_of=final + timedelta(days=7)).usable
    live = strict.predict("AAA", PredictionRequest(**asked))
    assert live.reasons == ("bar_too_old", "model_too_old")


def novelty_file(values: np.ndarray) -> bytes:
    rows = PanelRows(values, np.arange(len(values)), np.zeros(len(values), np.int64))
    grid = FeatureGrid.of(CORE.names, sort_columns(values))
    novelty = build_novelty(rows, grid, np.arange(len(CORE.names)))
    return array_files.to_archive(arrays_of_novelty(novelty))


def test_a_row_unlike_those_of_training_is_not_usable_where_that_is_minded(
    platform: Platform,
) -> None:
    table = compute(random_bars("AAA", rows=ROWS), CORE).drop_nulls().select(CORE.names)
    for values in (table.to_numpy(), np.random.default_rng(0).normal(size=(400, len(CORE.names)))):
        beside = {"novelty.npz": novelty_file(values)}
        publish(platform.models.registry.directory, beside=beside)
    strict = replace(platform.predict, limits=UsabilityLimits(novel_row_level=0.05))
    asked = {"request_id": "r", "now": NOW, "as_of": LAST_BAR + timedelta(days=1)}
    for version, reasons in (("v1", ()), ("v2", ()), ("v3", ("novel_row",))):
        request = PredictionRequest(version=version, **asked)  # type: ignore[arg-type]
        found = strict.predict("AAA", request)
        assert (found.reasons, found.usable) == (reasons, not reasons), version
        live = PredictionRequest(version=version, request_id="r", now=NOW)
        for _ in range(2):  # the second from memory
            assert strict.predict("AAA", live).reasons == reasons, version
        (result,) = strict.predict_batch(["AAA"], request).results
        assert isinstance(result, Prediction)
        assert result.reasons == reasons
        row = platform.audit.recent(limit=1).rows[0]
        assert row.reasons == reasons
        assert platform.predict.predict("AAA", request).reasons == ()


def test_a_batch_without_a_good_symbol_has_only_errors(platform: Platform) -> None:
    (result,) = ask_all(platform, ["NONE"])
    assert isinstance(result, FailedPrediction)


def test_a_batch_without_a_model_audits_each_symbol(tmp_path: Path) -> None:
    platform = make_platform(tmp_path, models=0)
    with pytest.raises(NoActiveModel):
        ask_all(platform, ["AAA", "BBB"])
    assert [row.symbol for row in platform.audit.recent(limit=10).rows] == ["BBB", "AAA"]


def test_a_batch_asks_an_upstream_that_is_down_only_once(tmp_path: Path) -> None:
    with LoopbackUpstream() as upstream:
        url = upstream.url
    platform = make_platform(
        tmp_path,
        MARKET_DATA_BASE_URL=url,
        MARKET_DATA_RETRY_ATTEMPTS="0",
        MARKET_DATA_RETRY_BACKOFF_SECONDS="0",
    )
    results = ask_all(platform, list(SYMBOLS) * 100)
    assert {r.error_code for r in results if isinstance(r, FailedPrediction)} == {
        "upstream_unavailable"
    }
    with pytest.raises(UpstreamUnavailable):
        ask(platform)
    assert platform.states.state("upstream") == "down"


def test_no_answer_leaves_without_its_row(platform: Platform, tmp_path: Path) -> None:
    platform.audit.store.engine.dispose()
    (tmp_path / "artifacts" / "audit.db").write_bytes(b"not a database" * 100)
    for leftover in ("audit.db-wal", "audit.db-shm"):
        (tmp_path / "artifacts" / leftover).unlink(missing_ok=True)
    made = ask(platform)
    assert not platform.audit.store.spool.is_empty, "its row waits beside the damaged tables"
    spooled = next((tmp_path / "artifacts" / "audit-spool").iterdir()).read_text()
    assert made.prediction_id in spooled
    shutil.rmtree(tmp_path / "artifacts" / "audit-spool")
    (tmp_path / "artifacts" / "audit-spool").write_text("no folder")
    with pytest.raises(DatabaseUnavailable):
        ask(platform)
