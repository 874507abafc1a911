"""Answers that are told again without being made again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.platforms import NOW, make_engine
from tests.published import publish

from mlengine.bootstrap import Engine
from mlengine.core.usability import UsabilityLimits
from mlengine.services.predict import PredictService
from mlengine.services.standing import Standing, StandingAnswers
from mlengine.stores.audit_entries import Answered

LIMITS = UsabilityLimits(max_bar_age_bars=18, max_model_age_days=63, all_features=True)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """Its bars of AAA stay as good as new for a year."""
    made = make_engine(tmp_path, MARKET_DATA_CACHE_SECONDS="60")
    made.predict.one("AAA", as_of=None, version=None, explain=False, request_id="first", now=NOW)
    held = made.bars.cache.get("AAA", now=NOW)
    vars(held)["good_until"] = NOW + timedelta(days=365)
    return made


def _ask(service: PredictService, *, hours: float) -> Answered:
    answer = service.at_hand("AAA", request_id="r", now=NOW + timedelta(hours=hours))
    assert answer is not None
    return answer


def test_an_answer_that_stands_is_told_as_if_it_was_made_anew(engine: Engine) -> None:
    service = replace(engine.predict, limits=LIMITS, standing=StandingAnswers())
    first, seen = _ask(service, hours=0), set()
    for hours in (0, 1, 24 * 3, 24 * 9):
        again = _ask(service, hours=hours)
        anew = _ask(replace(service, standing=StandingAnswers()), hours=hours)
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


def test_another_model_or_other_bars_make_an_answer_fall(engine: Engine) -> None:
    first = _ask(engine.predict, hours=0)
    publish(engine.models.registry.directory, seed=2, run_id="other")
    engine.models.registry.activate("v2", actor="x", reason="", now=NOW)
    engine.predict.shelf.current()
    second = _ask(engine.predict, hours=0)
    assert second.prediction.model_version == "v2"
    assert second.scored is not first.scored
    held = engine.bars.cache.get("AAA", now=NOW)
    assert held is not None
    engine.bars.cache.put("AAA", replace(held))
    third = _ask(engine.predict, hours=0)
    assert third.scored is not second.scored
    assert _ask(engine.predict, hours=0).scored is third.scored


def test_only_so_many_answers_stand(engine: Engine) -> None:
    service = engine.predict
    model, answer = service.shelf.current(), _ask(service, hours=0)
    known = service.bars.kept_window("AAA", bars=64, as_of=None, now=NOW)
    assert known is not None
    standing, kept = StandingAnswers(), []
    for number in range(1_500):
        standing.keep(f"S{number}", Standing(answer, model, known, row=None))  # type: ignore[arg-type]
        kept.append(sum(f"S{n}" in standing._standing for n in range(number + 1)))
    assert max(kept) == 1_000
    assert standing.get("S1499", model=model, known=known) is not None
