"""Answers that are told again without being made again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from weakref import ref

import pytest
from tests import garbage
from tests.platforms import NOW, make_platform
from tests.published import publish

from mlengine.bootstrap.platform import Platform
from mlengine.core.predictions.prediction import Prediction
from mlengine.core.predictions.usability import UsabilityLimits
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.services.predictions.prediction_cache import PredictionCache
from mlengine.services.predictions.service import PredictService
from mlengine.stores.audit.entries import AuditedPrediction
from mlengine.stores.market_data.files import FilesMarketData

LIMITS = UsabilityLimits(max_bar_age_bars=25, max_model_age_days=63, all_features=True)


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    """Its bars of AAA stay as good as new for a year."""
    made = make_platform(tmp_path, MARKET_DATA_CACHE_SECONDS="60")
    made.predict.predict(
        "AAA",
        PredictionRequest(request_id="first", now=NOW),
    )
    held = made.bars.cache.get("AAA", now=NOW)
    vars(held)["expires_at"] = NOW + timedelta(days=365)
    return made


def _ask(service: PredictService, *, hours: float) -> AuditedPrediction:
    model, now = service.cached_model(), NOW + timedelta(hours=hours)
    assert model is not None
    answer = service.predict_if_cached("AAA", model, PredictionRequest("r", now))
    assert answer is not None
    return answer


@pytest.mark.parametrize(
    ("objective", "transform"), [("direction", "raw"), ("return", "raw"), ("return", "cs_zscore")]
)
def test_an_answer_that_stands_is_told_as_if_it_was_made_anew(
    platform: Platform, objective: str, transform: str
) -> None:
    label = replace(platform.models.registry.manifest("v1").label, transform=transform)
    publish(platform.models.registry.directory, objective=objective, label=label, run_id="other")
    platform.models.registry.activate("v2", actor="x", reason="", now=NOW)
    platform.predict.loader.active()
    service = replace(platform.predict, limits=LIMITS, cache=PredictionCache())
    first, seen = _ask(service, hours=0), set()
    for hours in (0, 1, 24 * 3, 24 * 9):
        again = _ask(service, hours=hours)
        anew = _ask(replace(service, cache=PredictionCache()), hours=hours)
        assert again.scored is first.scored, "nothing was made anew"
        assert anew.scored is not first.scored
        latency = first.prediction.latency_ms
        one, other = (
            replace(each.prediction, prediction_id="", latency_ms=latency) for each in (again, anew)
        )
        assert one == other
        assert list(vars(again.prediction)) == list(vars(anew.prediction))
        assert (again.at, again.route) == (anew.at, anew.route)
        seen.add((one.stale, one.reasons))
    assert len(seen) == 3


def test_another_model_or_other_bars_make_an_answer_fall(platform: Platform) -> None:
    first = _ask(platform.predict, hours=0)
    publish(platform.models.registry.directory, seed=2, run_id="other")
    platform.models.registry.activate("v2", actor="x", reason="", now=NOW)
    platform.predict.loader.active()
    second = _ask(platform.predict, hours=0)
    assert second.prediction.model_version == "v2"
    assert second.scored is not first.scored
    held = platform.bars.cache.get("AAA", now=NOW)
    assert held is not None
    platform.bars.cache.put("AAA", replace(held))
    third = _ask(platform.predict, hours=0)
    assert third.scored is not second.scored
    assert _ask(platform.predict, hours=0).scored is third.scored


def test_the_same_version_loaded_again_makes_an_answer_fall(platform: Platform) -> None:
    first = _ask(platform.predict, hours=0)
    platform.predict.loader.reload()
    assert _ask(platform.predict, hours=0).scored is not first.scored


def test_another_row_under_the_same_hashes_makes_an_answer_fall(platform: Platform) -> None:
    first, service = _ask(platform.predict, hours=0), platform.predict
    key = (first.prediction.bars_hash, first.prediction.feature_set.hash)
    row = service.vector_cache.get(key)
    assert row is not None
    service.vector_cache.put(key, row + 1.0)
    again = _ask(service, hours=0)
    assert again.scored.payload == (row + 1.0).tobytes()
    assert again.scored.key != first.scored.key


def _break(platform: Platform, version: str) -> bytes:
    """Activate `version` with a model that can't be read; returns what it was."""
    path = platform.models.registry.directory / version / "model.txt"
    before = path.read_bytes()
    path.write_bytes(b"spoilt")
    platform.models.registry.activate(version, actor="x", reason="", now=NOW)
    return before


def test_what_stands_says_whether_it_is_degraded_now(platform: Platform) -> None:
    assert not _ask(platform.predict, hours=0).prediction.degraded
    publish(platform.models.registry.directory, seed=2, run_id="other")
    _break(platform, "v2")
    platform.predict.loader.active()
    again = _ask(platform.predict, hours=0)
    assert (again.prediction.model_version, again.prediction.degraded) == ("v1", True)
    platform.models.registry.activate("v1", actor="x", reason="", now=NOW)
    platform.predict.loader.active()
    assert not _ask(platform.predict, hours=0).prediction.degraded


def test_degraded_is_said_of_the_model_that_answers(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one may be swapped in while the bars are fetched."""
    publish(platform.models.registry.directory, seed=2, run_id="other")
    sound, panel = _break(platform, "v2"), FilesMarketData.panel
    platform.predict.loader.active()

    def mended_meanwhile(*args: object, **kwargs: object) -> object:
        (platform.models.registry.directory / "v2" / "model.txt").write_bytes(sound)
        platform.predict.loader.reload()
        return panel(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(FilesMarketData, "panel", mended_meanwhile)
    batch = platform.predict.predict_batch(
        ["BBB", "CCC"],
        PredictionRequest(request_id="r", now=NOW, route="/predict/batch"),
    )
    assert platform.predict.loader.loaded_version == "v2"
    assert [(each.model_version, each.degraded) for each in batch.results] == [("v1", True)] * 2  # type: ignore[union-attr]


def test_what_stands_keeps_neither_bars_nor_model_alive(platform: Platform) -> None:
    service = platform.predict
    _ask(service, hours=0)
    service.predict("BBB", PredictionRequest(as_of=NOW, request_id="r", now=NOW))
    garbage.collect()
    assert len(service.cache) == 1, "what was said of a moment of the past does not stand"
    model = ref(service.loader.active())
    publish(platform.models.registry.directory, seed=2, run_id="other")
    platform.models.registry.activate("v2", actor="x", reason="", now=NOW)
    service.loader.active()
    garbage.collect()
    assert model() is None
    platform.bars.cache._bars.clear()
    garbage.collect()
    assert len(service.cache) == 0


def test_an_explanation_is_made_from_the_ground_up(platform: Platform) -> None:
    _ask(platform.predict, hours=0)
    plain = PredictionRequest("r", NOW)
    explained = platform.predict.predict("AAA", replace(plain, explain=True))
    assert explained.contributions is not None
    assert platform.predict.predict("AAA", plain).contributions is None
    assert _ask(platform.predict, hours=0).prediction.contributions is None


def test_in_a_batch_and_alone_the_same_is_told(platform: Platform) -> None:
    symbols = ["AAA", "BBB", "AAA"]
    for _ in range(2):
        batch = platform.predict.predict_batch(
            symbols,
            PredictionRequest(request_id="r", now=NOW, route="/predict/batch"),
        )
        alone = [
            platform.predict.predict(
                each,
                PredictionRequest(request_id="r", now=NOW),
            )
            for each in symbols
        ]
        for one, other in zip(batch.results, alone, strict=True):
            assert isinstance(one, Prediction)
            varies = {"prediction_id": "", "latency_ms": other.latency_ms}
            assert replace(one, **varies) == replace(other, **varies)
    assert len(platform.predict.cache) == 2


def test_where_answers_cannot_be_audited_at_once_none_is_told_from_memory(
    platform: Platform,
) -> None:
    class Audit:
        supports_direct_append = False

    assert platform.predict.cached_model() is not None
    assert replace(platform.predict, audit=Audit()).cached_model() is None  # type: ignore[arg-type]


def test_a_score_that_comes_out_otherwise_is_told_as_it_is_now(platform: Platform) -> None:
    service = platform.predict
    first, model = _ask(service, hours=0), service.cached_model()
    assert model is not None
    bars = model.feature_set.window_bars
    window = platform.bars.cached_windows(["AAA"], bars=bars, as_of=None, now=NOW)["AAA"].bars
    row = service.vector_cache.get((window.bars_hash, model.feature_set.hash))
    assert row is not None
    told = first.prediction.with_changes({"probability_up": 0.123})
    other = replace(first, prediction=told)
    service.cache.put(window, model, row, other, score=-1.0, is_novel=False)
    again = _ask(service, hours=0)
    assert again.scored is first.scored, "it was not made anew"
    assert again.prediction.probability_up == first.prediction.probability_up != 0.123
