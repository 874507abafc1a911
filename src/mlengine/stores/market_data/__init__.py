"""Market data: one Protocol, three upstreams (`http`, `files`, `sample`)."""

from collections.abc import Collection, Hashable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import polars as pl

from mlengine.core.actions.actions import StatedAction
from mlengine.core.bars.intervals import INTERVALS
from mlengine.errors import MlengineError
from mlengine.stores.market_data.deadline import NEVER, Deadline


@dataclass(frozen=True)
class CandlePanel:
    """`candles` of many symbols in RAW_SCHEMA, each symbol's as alone; who has none, and why.

    A symbol without candles from start to end stands in neither.
    """

    candles: pl.DataFrame
    refused: Mapping[str, MlengineError]


class MarketData(Protocol):
    """Where candles come from; by default from this machine, so that no answer has a deadline."""

    @property
    def kind(self) -> str:
        """`http`, `files` or `sample`."""
        ...

    def deadline(self) -> Deadline:
        """When a request that begins now has to be answered, however many `candles` it takes."""
        return NEVER

    def offered_intervals(self) -> Collection[str]:
        """Those it may have bars of; which of them a symbol has, it says when asked for them."""
        return INTERVALS

    def symbols(self) -> Sequence[str]:
        """All symbols, by name, of a source that lists them."""
        return ()

    def read_ahead(self, symbols: Set[str]) -> None:  # noqa: ARG002 - by files alone
        """Read what the next question for one of these symbols would wait for."""
        return

    def refused_files(self) -> Sequence[tuple[str, str]]:
        """Each file of the source that can't be used, as far as it was looked at, and why."""
        return ()

    def log_refusal(self, symbol: str, interval: str, reason: str) -> None:  # noqa: ARG002 - by services alone
        """Log why the answer that this thread got last can't be used, and how it begins."""
        return

    def raw_row(self, file: str, line: int) -> str | None:  # noqa: ARG002 - by files alone
        """A row as a file of the source has it; None where there is none."""
        return None

    def raw_cell(self, file: str, line: int, column: str, symbol: str) -> str | None:  # noqa: ARG002 - by files alone
        """A cell of such a row, by the column in RAW_SCHEMA and the row's symbol."""
        return None

    def price_choices(
        self,
        symbols: Set[str] | None = None,  # noqa: ARG002 - by files alone
    ) -> Mapping[str, str]:
        """Whether prices are `raw` or `adjusted`, by name of what has both; of some symbols."""
        return {}

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

    def panel(
        self, symbols: Sequence[str], interval: str, *, start: datetime, end: datetime
    ) -> CandlePanel | None:
        """What `candles` returns or raises for each symbol, in one pass over all of them.

        None where somebody else has to be asked, symbol by symbol.
        """
        ...

    def actions(
        self,
        symbols: Sequence[str],
        *,
        now: datetime,  # noqa: ARG002 - the default states nothing
        deadline: Deadline | None = None,  # noqa: ARG002 - and needs no time for it
    ) -> dict[str, Sequence[StatedAction] | MlengineError]:
        """All corporate actions of each symbol as they are stated now, or why they can't be used.

        Those that its prices as served are not adjusted for.
        """
        return dict.fromkeys(symbols, ())

    def actions_version(self) -> Hashable:
        """Changes where actions should be asked for again before their time; else None."""
        return None
