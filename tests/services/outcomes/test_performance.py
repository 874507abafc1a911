from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import orjson
import pytest
from sqlalchemy import update
from tests.live_outcomes import (
    DATES,
    DAY,
    FIRST,
    FOLD_DATES,
    HOLDOUT_DATES,
    NOW,
    SYMBOLS,
    drawn,
    folds,
    published_platform,
    score,
)
from tests.replayed_market import FIRST_DAY, replayed_market

from mlengine.bootstrap.platform import Platform
from mlengine.core import metrics
from mlengine.core.arrays import Floats
from mlengine.core.metrics import Actuals, Baseline
from mlengine.core.monitoring.skill.evidence import skill_terms
from mlengine.core.monitoring.skill.report import start_record
from mlengine.core.outcomes.performance import daily_gains
from mlengine.core.serialization import to_plain
from mlengine.core.timestamps import EPOCH
from mlengine.errors import DamagedRow
from mlengine.services.outcomes.judging import judge_of
from mlengine.services.outcomes.reporting import ReportStep
from mlengine.services.outcomes.skill_step import SkillStep
from mlengine.stores.database.engine import writing
from mlengine.stores.database.tables import skill_states


def step(platform: Platform, kind: type) -> SkillStep | ReportStep:
    return next(each for each in platform.monitoring_updates.steps if isinstance(each, kind))


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    platform = published_platform(tmp_path)
    yield platform
    platform.control.database.dispose()


@pytest.fixture
def return_platform(tmp_path: Path) -> Iterator[Platform]:
    platform = published_platform(tmp_path, "return")
    yield platform
    platform.control.database.dispose()


def test_live_figures_are_those_of_the_metrics_with_their_intervals(platform: Platform) -> None:
    returns, chances = drawn(DATES, 2, skill=0.5)
    score(platform, returns, chances)
    answer = platform.performance.performance(
        version="v1", window=250, symbol=None, group=None, now=NOW
    )
    first = int(FIRST.timestamp()) * 1_000_000
    bars = first + np.repeat(np.arange(DATES), len(SYMBOLS)) * (DAY // timedelta(microseconds=1))
    expected = metrics.evaluate(
        "direction",
        actuals=Actuals(
            forward_returns=returns.ravel(),
            labels=(returns.ravel() > 0.0).astype(np.float64),
            last_returns=np.full(returns.size, 0.01),
            timestamps=bars,
            label_ends=bars + DAY // timedelta(microseconds=1),
            symbols=np.tile(np.arange(len(SYMBOLS)), DATES),
        ),
        scores=chances.ravel(),
        baseline=Baseline(0.5, 0.5),
        horizon_bars=1,
        cost_bps=5.0,
        seed=1,
    )
    assert answer.metrics == expected.metrics
    assert answer.calibration == expected.calibration
    assert answer.verdict == expected.verdict
    assert answer.metrics["rank_ic"].low is not None
    assert (answer.rows, answer.dates, answer.symbols) == (returns.size, DATES, 12)
    assert [each.rows for each in answer.by_symbol] == [DATES] * 12
    assert [each.bar for each in answer.by_bar] == [FIRST + day * DAY for day in range(DATES)]
    newest = answer.by_bar[-1]
    assert newest.loss == metrics.log_loss((returns[-1] > 0.0).astype(np.float64), chances[-1])
    assert newest.ic == pytest.approx(metrics.correlation(chances[-1], returns[-1]), rel=1e-12)
    mean_rank_ic = np.mean([each.rank_ic for each in answer.by_bar])
    assert answer.metrics["rank_ic"].value == pytest.approx(mean_rank_ic, rel=1e-12)


def test_of_a_few_dates_there_is_no_verdict(platform: Platform) -> None:
    ask = partial(platform.performance.performance, version="v1", symbol="S03", group=None, now=NOW)
    score(platform, *(each[:30] for each in drawn(DATES, 2, skill=0.5)))
    few = ask(window=20)
    assert (few.status, few.verdict) == ("ok", None)
    assert (few.metrics["auc"].low, few.metrics["auc"].reason) == (
        None,
        "too few dates for an interval: fewer than 5 blocks",
    )


def test_a_window_a_symbol_and_a_group_are_parts_of_it(platform: Platform) -> None:
    score(platform, *drawn(DATES, 2, skill=0.5))

    def ask(window: int, symbol: str | None = None, group: str | None = None) -> tuple[int, int]:
        answer = platform.performance.performance(
            version="v1", window=window, symbol=symbol, group=group, now=NOW
        )
        assert answer.coverage.scored == answer.coverage.due == answer.rows
        return answer.rows, answer.dates

    assert ask(20) == (20 * 12, 20)
    assert ask(60, symbol="S03") == (60, 60)
    assert ask(60, group="none") == (60 * 12, 60)
    assert ask(60, group="XNYS") == (0, 0)
    assert ask(60, symbol="NOPE") == (0, 0)
    assert ask(60, symbol="S03", group="none") == (60, 60)
    assert ask(60, symbol="S03", group="XNYS") == (0, 0)


def test_what_the_update_keeps_is_what_is_told_until_newer_outcomes(platform: Platform) -> None:
    reports = step(platform, ReportStep)
    returns, chances = drawn(30, 2, skill=0.5)
    score(platform, returns[:20], chances[:20])
    reports.run(NOW)
    kept = platform.performance.reports.read("v1", 250)
    assert kept is not None
    assert kept.report().rows == 20 * 12
    later = NOW + DAY
    ask = partial(
        platform.performance.performance, version="v1", window=250, symbol=None, group=None
    )
    told = ask(now=later)
    assert (told.computed_at, told.rows) == (NOW, 240)
    score(platform, returns, chances)
    assert ask(now=later).rows == 30 * 12
    reports.run(later)
    assert ask(now=later).computed_at == later


@pytest.mark.parametrize(("skill", "status"), [(0.5, "proven"), (0.0, "lost")])
def test_dates_prove_a_skill_or_that_it_is_lost_and_the_change_is_told_once(
    platform: Platform, skill: float, status: str
) -> None:
    returns, _ = drawn(DATES, 2, skill=0.5)
    _, chances = drawn(DATES, 2 if skill else 3, skill=0.5)
    score(platform, returns, chances)
    weigh = step(platform, SkillStep)
    weigh.run(NOW)
    weigh.run(NOW + DAY)
    events = platform.control.events.page(f"skill_{status}", 10, None).rows
    assert [event.version for event in events] == ["v1"]
    told = platform.performance.performance(
        version="v1", window=20, symbol=None, group=None, now=NOW
    ).skill
    assert (told.status, told.since, told.dates) == (status, NOW, DATES)
    terms = skill_terms(np.asarray(_gains(*drawn(HOLDOUT_DATES, 1, skill=0.5))), steps_ahead=1)
    assert terms is not None
    assert told.trained_gain == terms.mean
    gains = _gains(returns, chances)
    assert told.mean_gain == pytest.approx(np.mean(gains), rel=1e-12)
    assert told.against_earlier.mean_gain == pytest.approx(np.mean(gains), rel=1e-9)
    assert (told.against_earlier.status == "ahead") == (status == "proven")


@pytest.mark.parametrize("labelled", [True, False])
def test_the_tests_of_the_folds_say_what_the_skill_was_where_their_labels_are_kept(
    tmp_path: Path, labelled: bool
) -> None:
    platform = published_platform(tmp_path, folds=folds(0.5, labelled=labelled))
    score(platform, *drawn(DATES, 2, skill=0.5))
    ask = partial(
        platform.performance.performance, version="v1", window=20, symbol=None, group=None, now=NOW
    )
    before = ask().skill
    step(platform, SkillStep).run(NOW)
    told = ask().skill
    gains = [*_gains(*drawn(FOLD_DATES, 4, skill=0.5))] if labelled else []
    gains += _gains(*drawn(HOLDOUT_DATES, 1, skill=0.5))
    assert before.trained_dates == told.trained_dates == len(gains)
    assert before.trained_gain == told.trained_gain == pytest.approx(np.mean(gains), rel=1e-9)
    assert (before.dates, told.dates, told.status) == (0, DATES, "proven")
    platform.control.database.dispose()


def test_evidence_of_a_former_kind_begins_anew_and_keeps_what_was_counted(
    platform: Platform,
) -> None:
    """As a build before kept it: with bets on both samples, by mean."""
    score(platform, *drawn(DATES, 2, skill=0.5))
    weigh = step(platform, SkillStep)
    assert isinstance(weigh, SkillStep)
    gains = np.array(_gains(*drawn(HOLDOUT_DATES, 1, skill=0.5)))
    terms = skill_terms(gains, steps_ahead=1)
    record = replace(start_record(terms, steps_ahead=1), dates=7, gain=0.7)
    day = (FIRST - EPOCH).days
    assert weigh.store.write("v1", record, counted=None, through=day - 1, event=None)
    document = to_plain(record) | {
        "terms": {"mean": 0.1, "decline": {"highest": 0.2, "old": [[0.0]]}},
        "state": {"dates": 7, "against": [0.0], "in_favour": [0.0], "lost_for": 0},
    }
    with writing(platform.control.database) as connection:
        connection.execute(update(skill_states).values(document=orjson.dumps(document).decode()))
    ask = partial(
        platform.performance.performance, version="v1", window=20, symbol=None, group=None, now=NOW
    )
    before = ask().skill
    assert (before.dates, before.reason) == (7, None)
    assert before.trained_gain == pytest.approx(np.mean(gains))
    assert before.evidence is not None
    assert before.evidence.dates == 0
    weigh.run(NOW)
    told = ask().skill
    assert (told.dates, told.status) == (7 + DATES, "proven")
    assert told.evidence is not None
    assert told.evidence.dates == DATES


def test_a_document_that_is_none_is_a_damaged_row(platform: Platform) -> None:
    weigh = step(platform, SkillStep)
    assert isinstance(weigh, SkillStep)
    record = start_record(None, steps_ahead=1)
    assert weigh.store.write("v1", record, counted=None, through=1, event=None)
    assert weigh.store.read("v1") == (1, record)
    for document in ("[1]", "{}", '{"state": {"against": []}}', "no JSON"):
        with writing(platform.control.database) as connection:
            connection.execute(update(skill_states).values(document=document))
        with pytest.raises(DamagedRow):
            weigh.store.read("v1")


def _gains(returns: Floats, chances: Floats) -> list[float]:
    ups = (returns > 0.0).astype(np.float64)
    return [
        float(np.log(2.0) - metrics.log_loss(up, chance))
        for up, chance in zip(ups, chances, strict=True)
    ]


def test_two_updates_at_once_count_a_date_once(platform: Platform) -> None:
    score(platform, *drawn(DATES, 2, skill=0.5))
    weigh = step(platform, SkillStep)
    assert isinstance(weigh, SkillStep)
    weigh.run(NOW)
    counted = weigh.store.read("v1")
    assert counted is not None
    day, record = counted
    assert not weigh.store.write("v1", record, counted=None, through=day + 1, event=None)
    assert not weigh.store.write("v1", record, counted=day - 1, through=day + 1, event=None)
    assert weigh.store.read("v1") == counted


def test_expected_returns_are_held_against_returns(return_platform: Platform) -> None:
    returns, scores = drawn(DATES, 2, skill=0.5, objective="return")
    score(return_platform, returns, scores, "return")
    answer = return_platform.performance.performance(
        version="v1", window=250, symbol=None, group=None, now=NOW
    )
    assert (answer.objective, answer.rows) == ("return", returns.size)
    assert answer.calibration is None
    for name in ("mae", "ic", "rank_ic", "hit_rate"):
        assert answer.metrics[name].value is not None, name
    assert answer.metrics["mse"].value == pytest.approx(np.mean((returns - scores) ** 2))
    newest, part = answer.by_bar[-1], answer.by_symbol[3]
    assert newest.loss == pytest.approx(np.mean((returns[-1] - scores[-1]) ** 2))
    assert newest.baseline_loss == pytest.approx(np.mean(returns[-1] ** 2))
    assert part.hit_rate == np.mean((returns[:, 3] > 0.0) == (scores[:, 3] > 0.0))
    assert answer.verdict is not None
    assert (answer.verdict.metric, answer.verdict.verdict) == ("rank_ic", "edge")


def test_a_model_of_returns_is_followed_from_its_answers_to_its_figures(tmp_path: Path) -> None:
    days = range(FIRST_DAY, FIRST_DAY + 7)
    with replayed_market(
        tmp_path / "market", ("AAA", "BBB"), days=FIRST_DAY + 8, models=2, objective="return"
    ) as market:
        market.run(days)
        answer = market.platform.performance.performance(
            version=None, window=20, symbol=None, group=None, now=market.now(days[-1])
        )
        scored = market.platform.performance.reporter.outcomes.read("v2", since=0)
    assert (answer.objective, answer.rows) == ("return", 4)
    assert np.array_equal(scored.labels, scored.forward_returns)
    assert answer.metrics["mse"].value == np.mean((scored.labels - scored.scores) ** 2)
    assert np.isfinite(scored.other_scores).all(), "the version before scores what this one did"
    assert answer.skill.against_earlier.dates == 2


@pytest.mark.parametrize("status", ["proven", "lost"])
def test_expected_returns_prove_a_skill_or_that_it_is_lost(
    return_platform: Platform, status: str
) -> None:
    returns, scores = drawn(DATES, 2, skill=0.5, objective="return")
    if status == "lost":
        _, scores = drawn(DATES, 3, skill=0.5, objective="return")
    score(return_platform, returns, scores, "return")
    step(return_platform, SkillStep).run(NOW)
    told = return_platform.performance.performance(
        version="v1", window=20, symbol=None, group=None, now=NOW
    ).skill
    assert (told.status, told.dates) == (status, DATES)
    norms = np.linalg.norm(returns, axis=1) * np.linalg.norm(scores, axis=1)
    assert told.mean_gain == pytest.approx(np.mean((returns * scores).sum(axis=1) / norms))
    gained = returns**2 - (returns - scores) ** 2
    assert told.against_earlier.mean_gain == pytest.approx(gained.mean())
    assert told.evidence is not None
    assert told.trained_gain is not None
    assert told.trained_gain > 0.0


def test_scores_of_nothing_and_labels_of_nothing_gain_nothing(return_platform: Platform) -> None:
    returns, scores = drawn(30, 2, skill=0.5, objective="return")
    returns[:10], scores[10:20] = 0.0, 0.0
    score(return_platform, returns, scores, "return")
    judge = judge_of(return_platform.registry.manifest("v1"))
    outcomes = step(return_platform, SkillStep).outcomes.read("v1", since=0)
    gains = daily_gains(outcomes, judge)
    assert np.flatnonzero(gains).tolist() == list(range(20, 30))
