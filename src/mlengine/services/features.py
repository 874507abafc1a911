"""Feature tables as of a moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from mlengine.core.bars import bars_hash
from mlengine.core.features import FeatureSet, latest
from mlengine.core.prediction import FeatureSetRef
from mlengine.errors import InsufficientBars, InvalidRequest
from mlengine.services.bars import BarService


@dataclass(frozen=True)
class FeatureTable:
    """`rows`: `timestamp` and one float column a feature, oldest first, null where undefined."""

    symbol: str
    interval: str
    feature_set: FeatureSetRef
    bars_hash: str
    rows: pl.DataFrame


@dataclass(frozen=True)
class FeatureService:
    bars: BarService
    feature_sets: Mapping[str, FeatureSet]
    default_set: str

    def table(
        self,
        symbol: str,
        *,
        limit: int,
        as_of: datetime | None,
        feature_set: str | None,
        now: datetime,
    ) -> FeatureTable:
        """The newest `limit` complete rows known at `as_of`; `bars_hash` covers their bars.

        Raises InvalidRequest for an unknown set, InsufficientBars before the first full window.
        """
        chosen = self.feature_set(feature_set)
        window = chosen.window_bars
        clean = self.bars.history(symbol, bars=window + limit - 1, as_of=as_of, now=now)
        bars = clean.frame
        if bars.height < window:
            raise InsufficientBars(symbol, needed=window, got=bars.height)
        rows = min(limit, bars.height - window + 1)
        table = latest(bars, chosen, rows=rows).drop("symbol")
        return FeatureTable(
            symbol, self.bars.interval, FeatureSetRef.of(chosen), bars_hash(bars), table
        )

    def feature_set(self, name: str | None) -> FeatureSet:
        """A feature set by name, the default without one; raises InvalidRequest."""
        chosen = self.feature_sets.get(name or self.default_set)
        if chosen is None:
            known = ", ".join(sorted(self.feature_sets))
            raise InvalidRequest({"feature_set": [f"unknown; known are {known}"]})
        return chosen
