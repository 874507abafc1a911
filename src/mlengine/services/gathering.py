"""The bars of a training: every symbol as of one moment, the unknown ones skipped by name."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import polars as pl

from mlengine.core.bars import BarsReport, CleanBars
from mlengine.core.manifest import BarsEntry, Skipped
from mlengine.core.progress import Track
from mlengine.core.train_spec import TrainSpec
from mlengine.errors import TrainingFailed, UnknownSymbol

log = logging.getLogger(__name__)


class History(Protocol):
    """What gathering needs of the bar service."""

    def history(
        self, symbol: str, *, bars: int, as_of: datetime | None, now: datetime
    ) -> CleanBars: ...


@dataclass(frozen=True)
class Gathered:
    """`bars` of all symbols that have any, one below the other."""

    bars: pl.DataFrame
    skipped: tuple[Skipped, ...]
    report: BarsEntry


def gather(source: History, spec: TrainSpec, *, now: datetime, track: Track) -> Gathered:
    """The newest `spec.lookback` final bars of each symbol.

    Raises TrainingFailed when no symbol is left, and what the upstream raises but UnknownSymbol.
    """
    found: list[CleanBars] = []
    skipped: list[Skipped] = []
    for number, symbol in enumerate(spec.symbols):
        track.at("bars", done=number / len(spec.symbols))
        try:
            clean = source.history(symbol, bars=spec.lookback, as_of=None, now=now)
        except UnknownSymbol:
            skipped.append(_skip(symbol, "the upstream knows no such symbol"))
            continue
        if clean.frame.is_empty():
            skipped.append(_skip(symbol, "no final bars"))
            continue
        found.append(clean)
    if not found:
        raise TrainingFailed(f"none of the symbols has bars: {', '.join(spec.symbols)}")
    return Gathered(
        pl.concat(clean.frame for clean in found),
        tuple(skipped),
        _total([clean.report for clean in found]),
    )


def _skip(symbol: str, reason: str) -> Skipped:
    log.warning("symbol skipped", extra={"symbol": symbol, "reason": reason})
    return Skipped(symbol, reason)


def _total(reports: Sequence[BarsReport]) -> BarsEntry:
    mended: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    for report in reports:
        mended.update(report.mended)
        dropped.update(report.dropped)
    return BarsEntry(sum(report.accepted for report in reports), dict(mended), dict(dropped))
