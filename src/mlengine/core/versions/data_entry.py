"""The bars of a training as its manifest describes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mlengine.core import serialization


@dataclass(frozen=True)
class SkippedSymbol:
    symbol: str
    reason: str


@dataclass(frozen=True)
class BarsEntry:
    """What cleaning did to the bars of all symbols together, counted by reason."""

    accepted: int
    mended: Mapping[str, int]
    dropped: Mapping[str, int]


@dataclass(frozen=True)
class SeriesEntry:
    """One symbol's bars, adjusted for `actions`; `prices` is which of two closes were taken.

    `mended` and `dropped` count rows by reason, `missed_bars` those that were expected since the
    newest one.
    """

    symbol: str
    status: str
    reasons: tuple[str, ...]
    bars: int
    calendar: str
    dropped_share: float
    missing_share: float
    holes: int
    jumps: int
    dropped_labels: int
    actions: int = field(default=0, metadata=serialization.OPTIONAL)
    prices: str = field(default="", metadata=serialization.OPTIONAL)
    mended: Mapping[str, int] | None = field(default=None, metadata=serialization.OPTIONAL)
    dropped: Mapping[str, int] | None = field(default=None, metadata=serialization.OPTIONAL)
    missing_bars: int = field(default=0, metadata=serialization.OPTIONAL)
    zero_volume_share: float = field(default=0.0, metadata=serialization.OPTIONAL)
    missed_bars: int = field(default=0, metadata=serialization.OPTIONAL)


@dataclass(frozen=True)
class DataEntry:
    """`start` and `end` are the timestamps of the first and last bar, `rows` counts bars.

    `symbols` have rows that model.txt was trained on, `holdout_only_symbols` were only judged.
    `adjust` is what earlier prices are adjusted for: `none`, `splits` or `all`.
    """

    start: datetime
    end: datetime
    lookback: int
    symbols: tuple[str, ...]
    holdout_only_symbols: tuple[str, ...]
    skipped_symbols: tuple[SkippedSymbol, ...]
    rows: int
    labelled_rows: int
    bars_sha256: str
    bars_report: BarsEntry
    survivorship: str = "static list"
    universe_sha256: str | None = None
    series: tuple[SeriesEntry, ...] = field(default=(), metadata=serialization.OPTIONAL)
    adjust: str = field(default="none", metadata=serialization.OPTIONAL)
