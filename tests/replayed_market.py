"""A market that is replayed day by day to a whole platform, with all that feeds do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
from tests.databases import new_database
from tests.factories import START, random_bars
from tests.platforms import settings
from tests.published import draft, publish
from tests.upstream import LoopbackUpstream

from mlengine.bootstrap.platform import Platform, build_platform
from mlengine.config import Settings
from mlengine.services.predictions.prediction_builder import PredictionRequest

DAY = timedelta(days=1)
AFTER_THE_CLOSE = timedelta(minutes=5)
STEPS = ("outcomes", "skill")  # of the update; others are tested on their own
FIRST_DAY = 260  # of the bars, which begin in 2020; the tiny model has seen the first 244


def do_nothing(day: int) -> None:
    """Between the predictions of a day and the update."""


@dataclass
class ReplayedMarket:
    """Daily bars of symbols that trade every day; each bar is served once its day is over.

    `comes_late` is by how many days the bars of some days are late, by symbol and day; `never`
    have days that no bar comes for, `gone` the day from which the upstream knows no such symbol.
    """

    platform: Platform
    upstream: LoopbackUpstream
    bars: Mapping[str, pl.DataFrame]
    comes_late: Mapping[tuple[str, int], int] = field(default_factory=dict)
    never: frozenset[tuple[str, int]] = frozenset()
    gone: Mapping[str, int] = field(default_factory=dict)
    between: Callable[[int], None] = do_nothing

    def now(self, day: int) -> datetime:
        """Shortly after the bar of that day is final."""
        return START + (day + 1) * DAY + AFTER_THE_CLOSE

    def served(self, symbol: str, day: int) -> pl.DataFrame:
        """What the upstream has of a symbol by the end of a day."""
        rows = self.bars[symbol].head(day + 1).with_row_index("day")
        is_there = [
            at + self.comes_late.get((symbol, at), 0) <= day and (symbol, at) not in self.never
            for at in rows["day"].to_list()
        ]
        return rows.filter(pl.Series(is_there)).drop("day")

    def serve(self, day: int) -> None:
        for symbol in self.bars:
            if day >= self.gone.get(symbol, day + 1):
                self.upstream.forget(symbol)
            else:
                self.upstream.serve(self.served(symbol, day))

    def run(self, days: Sequence[int], *, predict: bool = True, update: bool = True) -> None:
        """Live through some days: bars come, predictions are asked for, monitoring is updated."""
        for day in days:
            self.serve(day)
            if predict:
                self.predict(day)
            self.between(day)
            if update:
                self.update(day)

    def predict(self, day: int) -> None:
        batch = self.platform.predict.predict_batch
        batch(list(self.bars), PredictionRequest(f"r{day}", self.now(day)))

    def update(self, day: int) -> None:
        every = self.platform.monitoring_updates
        steps = tuple(step for step in every.steps if step.name in STEPS)
        report = replace(every, steps=steps).run(self.now(day))
        assert report.ran
        assert not report.has_failed, report


def market_settings(folder: Path, upstream: str) -> Settings:
    """Settings of the platform in `folder`, whose bars come from an address."""
    environ = {"MARKET_DATA_BASE_URL": upstream, "MARKET_DATA_DIR": ""}
    adjusted = {"MARKET_DATA_ADJUST": "all", "MARKET_DATA_RECHECK_SECONDS": "0"}
    return settings(folder, **environ, **adjusted)


@contextmanager
def replayed_market(
    folder: Path,
    symbols: Sequence[str],
    *,
    days: int,
    models: int = 1,
    objective: str = "direction",
    **changes: object,
) -> Iterator[ReplayedMarket]:
    """A platform on such a market, whose newest version of `models` is active."""
    (folder / "artifacts").mkdir(parents=True)
    new_database(folder / "artifacts" / "audit.db")
    bars = {symbol: random_bars(symbol, rows=days) for symbol in symbols}
    with LoopbackUpstream() as upstream:
        platform = build_platform(market_settings(folder, upstream.url))
        data = replace(draft().data, adjust="all", symbols=tuple(symbols))
        for seed in range(1, models + 1):
            version = publish(
                platform.registry.directory,
                seed=seed,
                run_id=f"r{seed}",
                data=data,
                objective=objective,
                spec=replace(draft().spec, objective=objective),
            )
            now = START + (FIRST_DAY - models + seed) * DAY
            platform.models.activate(version.version, actor="test", reason="test", now=now)
        market = ReplayedMarket(platform, upstream, bars, **changes)  # type: ignore[arg-type]
        try:
            yield market
        finally:
            platform.control.database.dispose()
