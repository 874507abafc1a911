from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.platforms import NOW, make_platform
from tests.published import draft, tiny_files
from tests.replayed_market import FIRST_DAY
from tests.scored_market import DAY, ScoredMarket
from tests.services.signals.test_scoring import SYMBOLS, scored_market

from mlengine.core.calendars.market import Market, MarketDirectory
from mlengine.core.lines.line import LineDefinition
from mlengine.core.signals.signal import Slice
from mlengine.errors import DatabaseUnavailable, InsufficientBars, NoActiveModel, UnknownSymbol
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.services.signals import lease
from mlengine.services.signals.planning import SignalPlanner
from mlengine.services.signals.scoring import _is_final
from mlengine.services.signals.worker import SignalWorker


def test_lines_that_do_not_serve_are_passed_over_and_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    platform = make_platform(tmp_path)
    now = platform.control.clock()
    for name in ("slow", "ended"):
        platform.control.lines.save(name, LineDefinition(), actor="t", now=now)
    platform.control.lines.retire("ended", actor="t", now=now)
    worker = platform.signal_worker(["main", "slow", "ended", "nobody"], holder="one")
    assert {*worker.scorers()} == {"main", "slow"}
    assert worker.scorers()["slow"].planner.line == "slow"
    assert caplog.text.count("no line for SIGNALS") == 2
    assert platform.signal_worker([], holder="one").work() == 0


def test_those_are_scored_that_belong_to_the_universe_on_the_date(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By the file as it is now; where it can't be read, by what is known."""
    (members := tmp_path / "members.csv").write_text("no table")
    platform = make_platform(tmp_path, models=0, TRAIN_UNIVERSE_FILE=str(members))
    trained = b"symbol,from,to\nAAA,2020-01-01,\nBBB,2020-01-01,2021-02-01\n"
    registry, planner = platform.registry, platform.slice_scorer.planner
    assert planner.universe.members_on(date(2021, 2, 1)) is None
    registry.publish(draft(), {**tiny_files(), "universe.csv": trained}, fence=lambda: None)
    platform.models.activate("v1", actor="t", reason="", now=NOW)
    assert planner.universe.members_on(date(2021, 2, 1)) == {"AAA", "BBB"}
    assert planner.universe.members_on(date(2021, 2, 2)) == {"AAA"}
    assert caplog.text.count("universe file not read") == 2

    def planned(day: int) -> list[list[str]]:
        """The symbols of the bars that become final at the end of that day of February."""
        platform.predict.predict("AAA", PredictionRequest("r", NOW))  # its bars are recorded
        due = planner._due(datetime(2021, 2, day, tzinfo=UTC) + timedelta(days=1, minutes=1))
        return sorted(due.values())

    assert planned(2) == [["AAA"]]
    members.write_text("symbol,from,to\nBBB,2021-02-02,2021-02-02\nCCC,2020-01-01,2021-02-02\n")
    assert (planned(2), planned(3)) == ([["BBB", "CCC"]], [])
    members.unlink()
    assert planned(2) == [["BBB", "CCC"]]


@dataclass
class Plans:
    """Renews as it is told, and says when it has no more answers."""

    answers: list[bool | DatabaseUnavailable]
    done: threading.Event = field(default_factory=threading.Event)

    def renew(self, held: object, **_: object) -> bool:  # noqa: ARG002
        answer = self.answers.pop(0)
        if not self.answers:
            self.done.set()
        if isinstance(answer, DatabaseUnavailable):
            raise answer
        return answer


def test_a_slice_is_kept_as_long_as_it_is_worked_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.02)
    plans = Plans([True, DatabaseUnavailable("it is down"), True, False])
    clock: Callable[[], Any] = lambda: None  # noqa: E731
    worker = SignalWorker(dict, plans, clock, "one")  # type: ignore[arg-type]
    with lease.kept(lambda: worker._renew(object())):  # type: ignore[arg-type]
        assert plans.done.wait(10)
    assert "lease_not_renewed" in caplog.text


def scorer_of(market: ScoredMarket, **changes: object) -> Any:
    scorer = market.scorer()

    class Changed:
        planner = changes.get("planner", scorer.planner)
        score = staticmethod(changes.get("score", scorer.score))  # type: ignore[arg-type]

    return Changed()


def test_a_line_without_a_champion_keeps_no_other_from_being_scored(tmp_path: Path) -> None:
    class Nothing:
        def plan(self, **_: object) -> None:
            raise NoActiveModel

    with scored_market(tmp_path) as market:
        market.at(DAY)
        worker, empty = market.worker(), scorer_of(market, planner=Nothing())
        scorers = {"empty": empty, "main": market.scorer()}
        assert replace(worker, scorers=lambda: scorers).work() == 3


def test_while_the_database_is_down_nothing_is_said_and_afterwards_all(tmp_path: Path) -> None:
    with scored_market(tmp_path) as market:
        market.at(DAY)
        worker, scorer = market.worker(), market.scorer()

        class Down:
            def __getattr__(self, name: str) -> Any:
                return getattr(scorer.predict, name)

            def answers(self, *_: object, **__: object) -> None:
                raise DatabaseUnavailable("it is down")

        down = replace(scorer, predict=Down())  # type: ignore[arg-type]
        with pytest.raises(DatabaseUnavailable):
            replace(worker, scorers=lambda: {"main": down}).work()

        class NotRead(SignalPlanner):
            def plan(self, **_: object) -> None:
                raise DatabaseUnavailable("it is down")

        unread = scorer_of(market, planner=NotRead(**_fields(scorer.planner)))
        with pytest.raises(DatabaseUnavailable):
            replace(worker, scorers=lambda: {"main": unread}).work()
        market.now += timedelta(seconds=11)
        worker.work()
        assert len(market.said()) == 2 * len(SYMBOLS)


def _fields(planner: SignalPlanner) -> dict[str, Any]:
    return {name: value for name, value in vars(planner).items() if not name.startswith("_")}


def test_of_a_symbol_that_is_no_longer_traded_no_bar_is_expected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlengine.services.signals.planning._MOST_PLANNED", 1)
    with scored_market(tmp_path) as market:
        market.at(DAY)
        scorer = market.scorer()
        markets = MarketDirectory({"AAA": Market("AAA", last=date(2020, 1, FIRST_DAY // 13))})
        scorer.planner.bars = replace(scorer.planner.bars, markets=markets)
        worker = replace(market.worker(), scorers=lambda: {"main": scorer})
        worker.work()
        market.at(DAY + 1)
        worker.work()
        assert {symbol for _, symbol, *_ in market.said()} == {*SYMBOLS} - {"AAA"}
        assert len(market.said()) == 2 * 2 * (len(SYMBOLS) - 1)


def test_only_a_bar_that_may_be_on_its_way_is_waited_for() -> None:
    assert _is_final(UnknownSymbol("AAA"))
    assert _is_final(InsufficientBars("AAA", needed=64, got=60))
    assert not _is_final(InsufficientBars("AAA", needed=64, got=63))
    assert not _is_final(DatabaseUnavailable("it is down"))


def test_a_listing_of_yesterday_is_said_to_be_too_short(tmp_path: Path) -> None:
    with scored_market(tmp_path) as market:
        market.at(DAY)
        young = market.market.bars["AAA"].slice(DAY - 9, 10)
        market.market.upstream.serve(young.with_columns(symbol=pl.lit("NEW")))
        scorer = market.scorer()
        scorer.planner.symbols = (*SYMBOLS, "NEW")
        replace(market.worker(), scorers=lambda: {"main": scorer}).work()
        errors = {(symbol, error) for _, symbol, _, error in market.said() if error}
        assert errors == {("NEW", "insufficient_bars")}
        assert market.completed() == [market.now]


def test_slices_know_who_holds_them(tmp_path: Path) -> None:
    with scored_market(tmp_path) as market:
        market.at(DAY)
        held: list[Slice] = []
        noting = scorer_of(market, score=held.append)
        noting.planner.plan(now=market.now)
        plans = market.market.platform.control.signal_plans
        worker = SignalWorker(lambda: {"main": noting}, plans, lambda: market.now, "me")
        assert worker.work() == 3
        assert {each.holder for each in held} == {"me"}
        assert sorted(name for each in held for name in each.symbols) == [*SYMBOLS]
