"""A replayed market whose universe workers score at every bar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from tests.replayed_market import FIRST_DAY, ReplayedMarket

from mlengine.services.signals.scoring import SliceScorer
from mlengine.services.signals.worker import SignalWorker
from mlengine.stores.database.engine import reading
from mlengine.stores.database.tables import predictions, signal_bars, signals

DAY = FIRST_DAY + 1
SLICE_SYMBOLS = 2


@dataclass
class ScoredMarket:
    """One worker after another, at the time that the test says."""

    market: ReplayedMarket
    now: datetime = field(init=False)

    def __post_init__(self) -> None:
        """The bars of a day before are recorded, so that it shows when there is trading."""
        self.now = self.market.now(FIRST_DAY)
        self.market.serve(FIRST_DAY)
        self.market.predict(FIRST_DAY)

    def at(self, day: int, *, later: timedelta = timedelta(0)) -> None:
        self.market.serve(day)
        self.now = self.market.now(day) + later

    def scorer(self, **changes: Any) -> SliceScorer:
        platform = self.market.platform
        planner = replace(
            platform.slice_scorer.planner, symbols=tuple(self.market.bars), slice_symbols=2
        )
        return replace(platform.slice_scorer, planner=planner, clock=lambda: self.now, **changes)

    def worker(self, holder: str = "one", **changes: Any) -> SignalWorker:
        scorer = self.scorer(**changes)
        plans = self.market.platform.control.signal_plans
        return SignalWorker(lambda: {"main": scorer}, plans, lambda: self.now, holder)

    def said(self) -> list[tuple[str, str, datetime, str | None]]:
        """Version, symbol, bar and error of every signal, in this order."""
        row = signals.c
        query = select(row.model_version, row.symbol, row.bar_timestamp, row.error)
        return self._rows(query.order_by(row.bar_timestamp, row.symbol, row.model_version))

    def audited(self) -> list[tuple[str, str, str]]:
        """Id, version and symbol of what nobody asked for."""
        row = predictions.c
        query = select(row.prediction_id, row.model_version, row.symbol)
        return self._rows(query.where(row.route == "scheduled").order_by(row.prediction_id))

    def ids(self) -> list[str]:
        query = select(signals.c.prediction_id).order_by(signals.c.prediction_id)
        return [each for (each,) in self._rows(query)]

    def completed(self) -> list[datetime | None]:
        query = select(signal_bars.c.completed_at).order_by(signal_bars.c.id)
        return [each for (each,) in self._rows(query)]

    def _rows(self, query: Any) -> list[Any]:
        with reading(self.market.platform.control.database) as connection:
            return list(map(tuple, connection.execute(query)))


def fails_after(seen: int, error: BaseException) -> Callable[..., None]:
    """What raises once it was called so often."""
    calls = [0]

    def call(*_: object, **__: object) -> None:
        calls[0] += 1
        if calls[0] > seen:
            raise error

    return call
