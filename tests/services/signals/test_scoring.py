from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, select
from tests.replayed_market import FIRST_DAY, replayed_market
from tests.scored_market import DAY, ScoredMarket

from mlengine.core.predictions.prediction import Prediction
from mlengine.core.signals.signal import Slice, Tick
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.services.signals.scoring import SliceScorer
from mlengine.stores.audit.store import AuditStore
from mlengine.stores.database.engine import reading
from mlengine.stores.database.tables import outcomes
from mlengine.stores.signals.store import SignalStore, SliceLost

SYMBOLS = ("AAA", "BBB", "CCC", "DDD", "EEE")
HOUR = timedelta(hours=1)


@contextmanager
def scored_market(folder: Path, **changes: object) -> Iterator[ScoredMarket]:
    with replayed_market(folder, SYMBOLS, days=FIRST_DAY + 9, models=2, **changes) as market:
        yield ScoredMarket(market)


class Died(BaseException):
    """A worker that was killed: nothing after it is done."""


def dies(scorer: SliceScorer, *, after: int) -> SliceScorer:
    """One whose worker dies in its next transaction, when all is written and nothing committed."""
    transactions = [0]

    class DyingAudit(AuditStore):
        def append_within(self, records: object, within: Callable[[Connection], None]) -> None:
            def and_then_die(connection: Connection) -> None:
                within(connection)
                transactions[0] += 1
                if transactions[0] > after:
                    raise Died

            scorer.store.audit.append_within(records, and_then_die)  # type: ignore[arg-type]

    audit = DyingAudit(scorer.store.audit.engine)
    return replace(scorer, store=SignalStore(audit))


def everything(market: ScoredMarket, day: int = DAY) -> list[tuple[object, ...]]:
    bar = market.market.now(day).replace(hour=0, minute=0) - timedelta(days=1)
    return [(version, symbol, bar, None) for symbol in SYMBOLS for version in ("v1", "v2")]


def test_a_bar_is_scored_once_with_the_champion_and_the_one_before_it(tmp_path: Path) -> None:
    with scored_market(tmp_path) as market:
        market.at(DAY)
        one, other = market.worker("one"), market.worker("other")
        assert (one.work(), other.work(), one.work()) == (3, 0, 0)
        assert market.said() == everything(market)
        assert market.ids() == [prediction_id for prediction_id, _, _ in market.audited()]
        assert market.completed() == [market.now]
        told = market.market.platform.control.outbox.after(0, limit=100)
        (body,) = [json.loads(each.body) for each in told if each.type == "signals.ready"]
        assert body["data"]["version"] == "v2"
        assert body["data"]["details"]["symbols"] == len(SYMBOLS)
        assert body["data"]["details"]["previous_version"] == "v1"


def test_what_is_scored_is_what_predict_answers_and_can_be_replayed(tmp_path: Path) -> None:
    with scored_market(tmp_path) as market:
        market.at(DAY)
        market.worker().work()
        platform = market.market.platform
        for prediction_id, version, symbol in market.audited():
            row = platform.audit.get(prediction_id)
            asked = asked_for(market, symbol, version)
            assert (row.probability_up, row.bars_hash) == (asked.probability_up, asked.bars_hash)
            replayed = platform.replay.replay(
                prediction_id, check_upstream=False, actor="t", request_id="r", now=market.now
            )
            assert replayed.status == "identical"


def asked_for(market: ScoredMarket, symbol: str, version: str) -> Prediction:
    request = PredictionRequest("r", market.now, version=version, audited=False)
    return market.market.platform.predict.predict(symbol, request)


def test_a_worker_that_dies_before_its_commit_leaves_the_slice_to_another(tmp_path: Path) -> None:
    with scored_market(tmp_path) as market:
        market.at(DAY)
        worker = market.worker("dying")
        dying = dies(market.scorer(), after=1)
        with pytest.raises(Died):
            replace(worker, scorers=lambda: {"main": dying}).work()
        assert len(market.said()) == 4  # of the slice before
        other = market.worker("other")
        assert other.work() == 1  # the slice of the dead worker is its own for some seconds
        market.now += timedelta(seconds=11)
        assert other.work() == 1
        assert market.said() == everything(market)
        assert len(market.audited()) == 2 * len(SYMBOLS)
        assert market.completed() == [market.now]


def test_a_worker_that_was_held_up_writes_nothing_of_what_another_has_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with scored_market(tmp_path) as market:
        market.at(DAY)
        slow, fast = market.worker("slow"), market.worker("fast")
        scorer = market.scorer()

        class HeldUp:
            planner = scorer.planner

            def score(self, held: Slice) -> None:
                market.now += timedelta(seconds=11)
                assert fast.work() == 3
                scorer.score(held)

        caplog.set_level("WARNING")
        replace(slow, scorers=lambda: {"main": HeldUp()}).work()  # type: ignore[dict-item]
        assert "slice scored by another worker" in caplog.text
        assert market.said() == everything(market)
        assert len(market.audited()) == 2 * len(SYMBOLS)


def test_a_version_speaks_of_a_bar_once_whoever_planned_it_again(tmp_path: Path) -> None:
    with scored_market(tmp_path) as market:
        market.at(DAY)
        market.worker().work()
        scorer, held = market.scorer(), planned_again(market)
        scorer.score(held)
        assert market.said() == everything(market)
        assert len(market.audited()) == 2 * len(SYMBOLS)
        with pytest.raises(SliceLost):
            scorer.store.answer(held, [], left=[], look_at=None, now=market.now)


def planned_again(market: ScoredMarket) -> Slice:
    """The same bar, as another calendar has it final a minute later."""
    at = market.now.replace(hour=0, minute=1)
    day = timedelta(days=1)
    tick = Tick(at, at - day, at + day)
    plans = market.market.platform.control.signal_plans
    assert plans.plan(
        "main",
        tick,
        ("v2", "v1"),
        SYMBOLS,
        give_up_at=at + HOUR,
        slice_symbols=100,
        now=market.now,
    )
    held = plans.claim("again", models=["main"], now=market.now, lease_seconds=10)
    assert held is not None
    return held


def test_a_late_bar_is_waited_for_and_one_that_never_comes_is_said_to_be_missing(
    tmp_path: Path,
) -> None:
    never = frozenset({("CCC", DAY)})
    with scored_market(tmp_path, never=never, comes_late={("AAA", DAY): 1}) as market:
        market.at(DAY)
        worker = market.worker()
        worker.work()
        assert [symbol for _, symbol, _, _ in market.said()][::2] == ["BBB", "DDD", "EEE"]
        assert market.completed() == [None]
        assert worker.work() == 0  # not at once again
        market.market.upstream.serve(market.market.bars["AAA"].head(DAY + 1))
        market.now += timedelta(minutes=10)
        assert worker.work() == 2
        assert market.market.platform.control.signal_plans.newest("main", limit=1)[0].pending == 1
        market.now += HOUR
        worker.work()
        errors = {(symbol, error) for _, symbol, _, error in market.said() if error}
        assert errors == {("CCC", "bar_missing")}
        assert len(market.said()) == 2 * len(SYMBOLS)
        assert market.completed() == [market.now]


def test_a_symbol_that_the_upstream_does_not_know_is_not_waited_for(tmp_path: Path) -> None:
    with scored_market(tmp_path, gone={"BBB": DAY}) as market:
        market.at(DAY)
        market.worker().work()
        errors = {(symbol, error) for _, symbol, _, error in market.said() if error}
        assert errors == {("BBB", "unknown_symbol")}
        assert market.completed() == [market.now]


def test_a_bar_that_is_long_over_is_not_planned_any_more(tmp_path: Path) -> None:
    with scored_market(tmp_path) as market:
        market.at(DAY, later=2 * HOUR)
        assert market.worker().work() == 0
        assert market.said() == []


def test_monitoring_finds_the_outcomes_of_what_was_scored(tmp_path: Path) -> None:
    with scored_market(tmp_path) as market:
        market.at(DAY)
        market.worker().work()
        market.market.run(range(DAY + 1, DAY + 8), predict=False)
        row = outcomes.c
        query = select(row.symbol, row.state, row.prediction_id).where(row.model_version == "v1")
        with reading(market.market.platform.control.database) as connection:
            judged = connection.execute(query.order_by(row.symbol)).all()
        assert [(each.symbol, each.state) for each in judged] == [(s, "scored") for s in SYMBOLS]
        assert {each.prediction_id for each in judged} <= set(market.ids())


def test_without_a_champion_nothing_is_planned(tmp_path: Path) -> None:
    with scored_market(tmp_path) as market:
        market.market.platform.registry.active.path.unlink()
        market.at(DAY)
        scorer = market.scorer()
        fresh = type(scorer.planner.loader)(
            market.market.platform.registry, {}, interval="1d", states=market.market.platform.states
        )
        scorer.planner.loader = fresh
        worker = replace(market.worker(), scorers=lambda: {"main": scorer})
        assert worker.work() == 0


def test_a_version_before_that_can_not_be_loaded_is_left_out(tmp_path: Path) -> None:
    with scored_market(tmp_path) as market:
        market.at(DAY)
        (market.market.platform.registry.directory / "v1" / "model.txt").write_text("damaged")
        market.worker().work()
        assert {version for version, *_ in market.said()} == {"v2"}
        assert len(market.said()) == len(SYMBOLS)


def test_a_version_that_breaks_after_the_plan_fails_once_the_bar_is_given_up(
    tmp_path: Path,
) -> None:
    with scored_market(tmp_path) as market:
        market.at(DAY)
        scorer = market.scorer()
        scorer.planner.plan(now=market.now)
        loader = type(scorer.predict.loader)(
            market.market.platform.registry,
            market.market.platform.features.feature_sets,
            interval="1d",
            states=market.market.platform.states,
        )
        (market.market.platform.registry.directory / "v1" / "model.txt").write_text("damaged")
        broken = replace(scorer, predict=replace(scorer.predict, loader=loader))
        worker = replace(market.worker(), scorers=lambda: {"main": broken})
        worker.work()
        assert market.said() == []
        market.now += HOUR
        worker.work()
        errors = {(version, error) for version, _, _, error in market.said()}
        assert errors == {("v1", "artifact_corrupt"), ("v2", None)}
