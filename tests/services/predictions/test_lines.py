from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.core.small_features import SMALL
from tests.platforms import NOW, make_platform
from tests.published import publish

from mlengine.bootstrap.platform import Platform
from mlengine.core.lines.line import LineDefinition
from mlengine.errors import DatabaseUnavailable
from mlengine.services.bars.windows import FetchPool, WindowFetcher
from mlengine.services.predictions.lines import SharedWindows, predict_lines
from mlengine.services.predictions.prediction_builder import PredictionBatch, PredictionRequest


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    changed = {"FEATURE_SETS": "tests.core.small_features", "MARKET_DATA_CACHE_SECONDS": "60"}
    made = make_platform(tmp_path, **changed)
    made.control.lines.save("narrow", LineDefinition(), actor="ann", now=NOW)
    narrow = made.of_line("narrow")
    publish(narrow.registry.directory, feature_set=SMALL, seed=5, run_id="n", model="narrow")
    narrow.models.activate("v1", actor="ann", reason="first", now=NOW)
    return made


def fetcher(platform: Platform, bars: int) -> WindowFetcher:
    return WindowFetcher(platform.bars, bars, None, NOW, time.perf_counter)


def test_the_widest_window_is_fetched_and_the_others_are_its_newest_bars(platform):
    shared, pool = SharedWindows(64), FetchPool()
    assert shared(fetcher(platform, 6), ["AAA"], pool, wait=False) is None
    narrow = shared(fetcher(platform, 6), ["AAA", "NOPE"], pool)
    wide = shared(fetcher(platform, 64), ["AAA", "NOPE"], pool)
    assert (narrow.complete["AAA"].rows, wide.complete["AAA"].rows) == (6, 64)
    assert {*narrow.refused} == {*wide.refused} == {"NOPE"}
    assert narrow.complete["AAA"].starts.tolist() == wide.complete["AAA"].starts[-6:].tolist()
    alone = fetcher(platform, 6).cached(["AAA"])["AAA"]
    assert narrow.complete["AAA"] is alone


def test_a_model_that_needs_more_bars_than_all_had_before_fetches_its_own(platform):
    windows = SharedWindows(6)(fetcher(platform, 64), ["AAA"], FetchPool())
    assert windows.complete["AAA"].rows == 64


def test_lines_answer_together_as_they_do_alone(platform):
    lines = {name: platform.of_line(name).predict for name in ("main", "narrow")}
    request = PredictionRequest("r", NOW)
    together = predict_lines(lines, ["AAA", "BBB"], request)
    for name, line in lines.items():
        batch, alone = together[name], line.predict_batch(["AAA", "BBB"], request)
        assert isinstance(batch, PredictionBatch)
        for one, other in zip(batch.results, alone.results, strict=True):
            assert (one.model, one.bars_hash) == (name, other.bars_hash)
            assert one.probability_up == other.probability_up


def test_answers_that_can_not_be_audited_are_none(platform):
    class Audit:
        def append(self, entries: object) -> None:  # noqa: ARG002
            raise DatabaseUnavailable("it is down")

    broken = replace(platform.predict, audit=Audit())
    with pytest.raises(DatabaseUnavailable):
        predict_lines({"main": broken}, ["AAA"], PredictionRequest("r", NOW))
