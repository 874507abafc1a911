from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.platforms import make_platform
from tests.published import TRAINED_THROUGH, draft, tiny_files

from mlengine.bootstrap.platform import Platform
from mlengine.core import metrics
from mlengine.core.arrays import Floats
from mlengine.core.metrics import Actuals, Baseline
from mlengine.core.monitoring.skill.evidence import skill_terms
from mlengine.core.outcomes.outcome import Outcome
from mlengine.services.outcomes.reporting import ReportStep
from mlengine.services.outcomes.skill_step import SkillStep
from mlengine.stores.outcomes.answers import Answer
from mlengine.stores.outcomes.store import OtherScore, OutcomeStore
from mlengine.stores.system import table_files

FIRST = datetime(2021, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SYMBOLS = tuple(f"S{number:02d}" for number in range(12))
DATES, HOLDOUT_DATES = 130, 400
NOW = FIRST + 200 * DAY


def drawn(dates: int, seed: int, *, skill: float) -> tuple[Floats, Floats]:
    """(dates, symbols) each: forward returns, and chances of a rise that know `skill` of them."""
    rng = np.random.default_rng(seed)
    returns = rng.normal(0.0, 0.01, (dates, len(SYMBOLS)))
    known = skill * returns / 0.01 + rng.normal(0.0, 1.0, returns.shape)
    return returns, 1.0 / (1.0 + np.exp(-2.0 * skill * known))


def holdout(skill: float) -> bytes:
    returns, chances = drawn(HOLDOUT_DATES, 1, skill=skill)
    frame = pl.DataFrame(
        {
            "symbol": SYMBOLS * HOLDOUT_DATES,
            "timestamp": [
                TRAINED_THROUGH + day * DAY for day in range(HOLDOUT_DATES) for _ in SYMBOLS
            ],
            "label": (returns.ravel() > 0.0).astype(np.float64),
            "forward_return": returns.ravel(),
            "score": chances.ravel(),
        },
        schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
    )
    return table_files.to_parquet(frame)


def score(platform: Platform, returns: Floats, chances: Floats, version: str = "v1") -> None:
    """Live outcomes of these dates, which are known a day later; another version says 0.5."""
    store = OutcomeStore(platform.control.database)
    answers = []
    for day in range(len(returns)):
        for at, symbol in enumerate(SYMBOLS):
            bar, number = FIRST + day * DAY, day * len(SYMBOLS) + at + 1
            asked_at = bar + DAY
            answer = Answer(
                *(number, f"p{number}", version, symbol, "1d", bar, asked_at),
                *(float(chances[day, at]), 1),
            )
            answers.append((answer, bar + 2 * DAY, bar + 3 * DAY))
    store.take_in(answers, position=len(answers))
    decided, others = [], {}
    for each in store.due(now=NOW, limit=10_000):
        day = (each.pending.bar_timestamp - FIRST) // DAY
        ends = each.pending.bar_timestamp + DAY
        forward = float(returns[day, SYMBOLS.index(each.pending.symbol)])
        decided.append(
            Outcome(each.pending.id, "scored", None, float(forward > 0.0), forward, 0.01, ends)
        )
        others[each.pending.id] = OtherScore("v0", 0.5)
    store.decide(version, decided, others, postponed={}, now=NOW)


def step(platform: Platform, kind: type) -> SkillStep | ReportStep:
    return next(each for each in platform.monitoring_updates.steps if isinstance(each, kind))


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    platform = make_platform(tmp_path, models=0)
    manifest = replace(draft(), horizon_bars=1, label=replace(draft().label, horizon_bars=1))
    files = {**tiny_files(), "holdout.parquet": holdout(0.5)}
    platform.registry.publish(manifest, files, fence=lambda: None)
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
    assert answer.metrics["rank_ic"].low is not None
    assert (answer.rows, answer.dates, answer.symbols) == (returns.size, DATES, 12)
    assert [each.rows for each in answer.by_symbol] == [DATES] * 12
    assert [each.bar for each in answer.by_bar] == [FIRST + day * DAY for day in range(DATES)]
    newest = answer.by_bar[-1]
    assert newest.loss == metrics.log_loss((returns[-1] > 0.0).astype(np.float64), chances[-1])
    assert newest.ic == pytest.approx(metrics.correlation(chances[-1], returns[-1]), rel=1e-12)
    mean_rank_ic = np.mean([each.rank_ic for each in answer.by_bar])
    assert answer.metrics["rank_ic"].value == pytest.approx(mean_rank_ic, rel=1e-12)


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
