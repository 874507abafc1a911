"""What the adapters of all libraries share: pages, manners, completeness."""

import importlib
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import ModuleType
from typing import ClassVar

import polars as pl

from mlengine.core.bars.bars import RAW_SCHEMA
from mlengine.core.bars.intervals import INTERVALS
from mlengine.errors import BadSetting, UpstreamInvalid, UpstreamUnavailable
from mlengine.stores.market_data import MarketData
from mlengine.stores.market_data.adapters.completeness import require_complete
from mlengine.stores.market_data.candles import candle_frame
from mlengine.stores.market_data.deadline import Deadline
from mlengine.stores.market_data.paging import PageReader

SETTING = "MARKET_DATA_ADAPTER"

Candles = Sequence[Mapping[str, object]]


@dataclass(frozen=True)
class AdapterOptions:
    """What every adapter is opened with; `variant` stands behind the colon of the setting."""

    variant: str
    api_key: str | None = field(repr=False)
    base_url: str | None
    page_size: int
    timeout_seconds: float
    deadline_seconds: float


class LibraryMarketData(MarketData):
    """Candles that a library fetches; a request at a time, `gap_seconds` apart at least."""

    kind = ""
    paging: ClassVar[str] = "whole"
    gap_seconds: ClassVar[float] = 0.0
    intervals: ClassVar[Mapping[str, str]] = {}

    def __init__(self, options: AdapterOptions) -> None:
        self.options = options
        self._lock = threading.Lock()
        self._next_at = 0.0

    def deadline(self) -> Deadline:
        """`deadline_seconds` from now."""
        return Deadline.after(self.options.deadline_seconds)

    def offered_intervals(self) -> Collection[str]:
        """Those that `intervals` names."""
        return self.intervals

    def candles(
        self,
        symbol: str,
        interval: str,
        *,
        start: datetime,
        end: datetime,
        deadline: Deadline | None = None,
    ) -> pl.DataFrame:
        """Every candle with `start <= timestamp < end`, as served; see MarketData.

        Raises UpstreamInvalid also where too many are missing among them.
        """
        if interval not in self.intervals:
            raise UpstreamInvalid(f"{self.kind} has no bars of {interval}")
        ends_at = deadline or self.deadline()

        def ask(since: datetime, until: datetime, _: int | None) -> pl.DataFrame:
            self._wait(ends_at)
            rows = self.fetch(symbol, interval, since, until)
            return candle_frame(rows, symbol=symbol) if rows else pl.DataFrame(schema=RAW_SCHEMA)

        candles = PageReader(ask, INTERVALS[interval], paging=self.paging).candles(start, end)
        require_complete(candles, symbol=symbol, interval=interval)
        return candles

    def panel(
        self, symbols: Sequence[str], interval: str, *, start: datetime, end: datetime
    ) -> None:
        """None: each symbol is a request of its own."""

    def fetch(self, symbol: str, interval: str, start: datetime, end: datetime) -> Candles:
        """Candles with the names of the contract, as the library gives them.

        Raises UnknownSymbol, UpstreamInvalid, UpstreamUnavailable.
        """
        raise NotImplementedError

    def _wait(self, deadline: Deadline) -> None:
        """Until the next request is due; raises UpstreamUnavailable where that is too late."""
        with self._lock:
            wait = max(0.0, self._next_at - time.monotonic())
            if wait >= deadline.left_seconds:
                raise UpstreamUnavailable("no answer before the deadline")
            self._next_at = time.monotonic() + wait + self.gap_seconds
        time.sleep(wait)


def import_library(module: str, *, extra: str) -> ModuleType:
    """The library of an adapter; raises BadSetting, which says how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        expected = f"an adapter whose library is installed: pip install 'mlengine[{extra}]'"
        raise BadSetting(SETTING, extra, expected) from None
