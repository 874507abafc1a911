from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select
from tests.replayed_market import FIRST_DAY, ReplayedMarket, replayed_market

from mlengine.errors import DatabaseUnavailable
from mlengine.services.outcomes.step import OutcomeStep
from mlengine.stores.database.engine import reading
from mlengine.stores.database.tables import outcomes
from mlengine.stores.outcomes.answers import Answer
from mlengine.stores.outcomes.store import OutcomeStore

H = 5


def step_of(market: ReplayedMarket) -> OutcomeStep:
    (step,) = (
        each for each in market.platform.monitoring_updates.steps if isinstance(each, OutcomeStep)
    )
    return step


def states(market: ReplayedMarket) -> dict[str, int]:
    query = select(outcomes.c.state, func.count().label("count")).group_by(outcomes.c.state)
    with reading(market.platform.control.database) as connection:
        return {row.state: row[1] for row in connection.execute(query)}


@dataclass(frozen=True)
class InterruptedStore(OutcomeStore):
    """Lets another process run right before each of its writes, which then fail."""

    other: OutcomeStep | None = None
    now: datetime | None = None
    fails: bool = False

    def take_in(self, answers: list[tuple[Answer, datetime, datetime]], *, position: int) -> None:
        self._interrupt()
        super().take_in(answers, position=position)

    def decide(self, *values: object, **named: object) -> None:
        self._interrupt()
        super().decide(*values, **named)  # type: ignore[arg-type]

    def _interrupt(self) -> None:
        if self.other is not None and self.now is not None:
            self.other.run(self.now)
        if self.fails:
            raise DatabaseUnavailable("its disk is full")


def test_two_updates_at_once_decide_each_outcome_once(tmp_path: Path) -> None:
    with replayed_market(tmp_path, ("AAA", "BBB"), days=FIRST_DAY + 20) as market:
        market.run(range(FIRST_DAY, FIRST_DAY + H + 3), update=False)
        now, step = market.now(FIRST_DAY + H + 2), step_of(market)
        engine = step.store.engine
        slow = replace(step, store=InterruptedStore(engine, other=step, now=now))
        slow.run(now)
        assert states(market) == {"scored": 6, "pending": 10}
        with reading(engine) as connection:
            decided = set(connection.scalars(select(outcomes.c.decided_at).distinct()))
        step.run(market.now(FIRST_DAY + H + 2))
        assert states(market) == {"scored": 6, "pending": 10}
        assert decided == {now, None}
        told = market.platform.control.outbox.after(0, limit=100)
        (body,) = [json.loads(each.body) for each in told if each.type == "prediction.scored"]
        assert body["data"]["details"] | {"first_outcome": 0, "last_outcome": 0} == {
            "scored": 6,
            "void": 0,
            "late": 0,
            "first_outcome": 0,
            "last_outcome": 0,
        }


def test_what_fails_is_done_by_the_next_update(tmp_path: Path) -> None:
    with replayed_market(tmp_path, ("AAA",), days=FIRST_DAY + 20) as market:
        market.run(range(FIRST_DAY, FIRST_DAY + H + 1), update=False)
        now, step = market.now(FIRST_DAY + H), step_of(market)
        broken = replace(step, store=InterruptedStore(step.store.engine, fails=True))
        with pytest.raises(DatabaseUnavailable):
            broken.run(now)
        assert states(market) == {}
        step.run(now)
        assert states(market) == {"scored": 1, "pending": H}


def test_an_outcome_is_due_when_its_last_bar_is_final(tmp_path: Path) -> None:
    with replayed_market(tmp_path, ("AAA",), days=FIRST_DAY + 20) as market:
        market.run([FIRST_DAY])
        due_at = step_of(market).run(market.now(FIRST_DAY))
        assert due_at is not None
        assert market.now(FIRST_DAY + H - 1) < due_at < market.now(FIRST_DAY + H)
        assert not market.platform.control.update_lease.is_due(now=market.now(FIRST_DAY + 1))
        assert market.platform.control.update_lease.is_due(now=market.now(FIRST_DAY + H))


def test_a_version_that_is_gone_leaves_no_outcome_pending(tmp_path: Path) -> None:
    with replayed_market(tmp_path, ("AAA",), days=FIRST_DAY + 20) as market:
        market.run([FIRST_DAY])
        for path in market.platform.registry.directory.glob("v1/*"):
            path.unlink()
        (market.platform.registry.directory / "v1").rmdir()
        step_of(market).run(market.now(FIRST_DAY + H))
        assert states(market) == {"void": 1}


def test_what_another_version_said_of_the_same_features_is_kept(tmp_path: Path) -> None:
    with replayed_market(tmp_path, ("AAA",), days=FIRST_DAY + 20, models=2) as market:
        market.run(range(FIRST_DAY, FIRST_DAY + H + 1))
        with reading(market.platform.control.database) as connection:
            row = connection.execute(select(outcomes).where(outcomes.c.state == "scored")).one()
        assert (row.model_version, row.other_version) == ("v2", "v1")
        assert row.other_score != row.score
