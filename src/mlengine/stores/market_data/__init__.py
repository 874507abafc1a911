"""Market data: one Protocol, three upstreams (`http`, `files`, `sample`)."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import polars as pl

from mlengine.stores.market_data.deadline import Deadline


class MarketData(Protocol):
    """Where candles come from."""

    @property
    def kind(self) -> str:
        """`http`, `files` or `sample`."""
        ...

    def deadline(self) -> Deadline:
        """When a question that begins now has to be answered, however many `candles` it takes."""
        ...

    def candles(
        self,
        symbol: str,
        interval: str,
        *,
        start: datetime,
        end: datetime,
        deadline: Deadline | None = None,
    ) -> pl.DataFrame:
        """Candles as served, in RAW_SCHEMA, with `start <= timestamp < end`.

        A candle whose start, or the close that it states, can't be read has a null timestamp and
        comes with every answer. Answers before `deadline` (without one: before its own), as far
        as it depends on others. Raises UnknownSymbol, UpstreamInvalid, UpstreamUnavailable.
        """
        ...
