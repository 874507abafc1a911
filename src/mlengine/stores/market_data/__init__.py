"""Market data: one Protocol, three upstreams (`http`, `files`, `sample`)."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import polars as pl


class MarketData(Protocol):
    """Where candles come from."""

    @property
    def kind(self) -> str:
        """`http`, `files` or `sample`."""
        ...

    def candles(
        self, symbol: str, interval: str, *, start: datetime, end: datetime
    ) -> pl.DataFrame:
        """Candles as served, in RAW_SCHEMA, with `start <= timestamp < end`.

        Raises UnknownSymbol, UpstreamInvalid, UpstreamUnavailable.
        """
        ...
