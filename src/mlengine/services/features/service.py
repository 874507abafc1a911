"""Feature tables as of a moment, and checks of feature sets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from mlengine.core.features import FeatureSet, latest, variants
from mlengine.core.features.leaks.check import ROWS_BEYOND_WINDOW, LeakReport
from mlengine.core.features.leaks.history import check_history
from mlengine.core.predictions.prediction import FeatureSetRef
from mlengine.errors import InsufficientBars, InvalidRequest
from mlengine.services.bars.served import RECORDED
from mlengine.services.bars.service import BarService
from mlengine.services.bars.session_end import session_end


@dataclass(frozen=True)
class FeatureTable:
    """`rows`: `timestamp` and one float column a feature, oldest first, null where undefined."""

    symbol: str
    interval: str
    feature_set: FeatureSetRef
    bars_hash: str
    rows: pl.DataFrame
    as_of: datetime
    degraded: bool = False
    point_in_time: str = RECORDED
    bars_age_seconds: float | None = None

    @property
    def nulls(self) -> dict[str, int]:
        """How many values of each feature are undefined; features without any are left out."""
        finite = self.rows.select(pl.exclude("timestamp").is_finite().sum()).row(0, named=True)
        return {name: self.rows.height - n for name, n in finite.items() if n < self.rows.height}


@dataclass(frozen=True)
class FeatureService:
    bars: BarService
    feature_sets: Mapping[str, FeatureSet]
    default_set: str
    default_symbols: Sequence[str]

    def table(
        self,
        symbol: str,
        *,
        limit: int,
        as_of: datetime | None,
        feature_set: str | None,
        now: datetime,
        session: date | None = None,
    ) -> FeatureTable:
        """The newest `limit` complete rows known at `as_of`; `bars_hash` covers their bars.

        With `session`, that of its end stands for `as_of`.

        Raises InvalidRequest for an unknown set, InsufficientBars with the first possible moment
        before the first full window.
        """
        symbol = self.bars.markets.canonical(symbol)
        chosen = self.feature_set(feature_set)
        window = chosen.window_bars
        if session:
            as_of = session_end(self.bars, symbol, session, now=now)
        clean = self.bars.history(symbol, bars=window + limit - 1, as_of=as_of, now=now)
        bars = clean.arrays
        if bars.rows < window:
            first = self.bars.nth_bar_known_at(symbol, bar=window, now=now)
            raise InsufficientBars(symbol, window, bars.rows, first_possible=first)
        table = _evaluate(clean.frame, chosen, min(limit, bars.rows - window + 1)).drop("symbol")
        ref = FeatureSetRef.of(chosen)
        return FeatureTable(
            symbol,
            self.bars.interval,
            ref,
            bars.bars_hash,
            table,
            as_of=as_of or now,
            degraded=clean.origin.upstream_age_seconds is not None,
            point_in_time=clean.origin.point_in_time,
            bars_age_seconds=clean.origin.upstream_age_seconds,
        )

    def check(
        self, name: str | None, *, symbols: Sequence[str], bars: int, now: datetime
    ) -> LeakReport:
        """Test a set for leaks and parity on the newest `bars` bars (0: all) of each symbol.

        Without `symbols`, on those of trainings. Raises InvalidRequest for an unknown set,
        InsufficientBars where no symbol has a bar more than the window, and what the upstream
        raises.
        """
        chosen = self.feature_set(name)
        frames = {
            symbol: self.bars.history(symbol, bars=bars, as_of=None, now=now).frame
            for symbol in map(self.bars.markets.canonical, symbols or self.default_symbols)
        }
        longest = max(frames, key=lambda symbol: frames[symbol].height)
        needed = chosen.window_bars + ROWS_BEYOND_WINDOW
        if frames[longest].height < needed:
            raise InsufficientBars(longest, needed, frames[longest].height)
        return check_history(pl.concat(frames.values()), chosen)

    def feature_set(self, name: str | None) -> FeatureSet:
        """A feature set by name, the default without one; raises InvalidRequest."""
        chosen = variants.find(self.feature_sets, name or self.default_set)
        if chosen is None:
            names = ", ".join(sorted(self.feature_sets))
            raise InvalidRequest({"feature_set": [f"unknown; known are {names}"]})
        return chosen


def _evaluate(bars: pl.DataFrame, feature_set: FeatureSet, rows: int) -> pl.DataFrame:
    """The newest rows; a kernel that panics, which no handler would catch, is an ordinary error."""
    try:
        return latest(bars, feature_set, rows=rows)
    except pl.exceptions.PanicException as panic:
        raise RuntimeError(f"feature set {feature_set.name!r} panics") from panic
