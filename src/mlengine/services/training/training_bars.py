"""The bars of a training: every symbol as of one moment, unknown ones skipped by name."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from mlengine.core.bars.bars import BarsReport, CleanBars
from mlengine.core.runs.progress import ProgressTracker
from mlengine.core.training.spec import TrainSpec
from mlengine.core.versions.manifest import BarsEntry, SkippedSymbol
from mlengine.errors import TrainingFailed, UnknownSymbol, UpstreamInvalid
from mlengine.services.bars.service import BarService
from mlengine.stores.bars.universe import Universe, read_universe

log = logging.getLogger(__name__)

_LISTED_SYMBOLS = 10


@dataclass(frozen=True)
class TrainingBars:
    """`frame` has the bars of all symbols, one below the other; `universe` limits their rows."""

    frame: pl.DataFrame
    skipped: tuple[SkippedSymbol, ...]
    report: BarsEntry
    universe: Universe | None = None

    @property
    def members(self) -> pl.DataFrame | None:
        """Who belonged to the universe when; None where nothing limits the rows."""
        return self.universe.members if self.universe else None

    @property
    def universe_sha256(self) -> str | None:
        """The digest of the universe's file."""
        return self.universe.sha256 if self.universe else None


def load_training_bars(
    source: BarService, spec: TrainSpec, *, now: datetime, tracker: ProgressTracker
) -> TrainingBars:
    """The newest `spec.lookback` final bars of each symbol.

    A symbol that the upstream doesn't know, or whose candles can't be used, is skipped. Raises
    TrainingFailed when fewer than `spec.min_symbols` are left or the universe file is bad, and
    UpstreamUnavailable.
    """
    universe = read_universe(Path(spec.universe_file)) if spec.universe_file else None
    loaded: list[CleanBars] = []
    skipped: list[SkippedSymbol] = []
    for number, symbol in enumerate(spec.symbols):
        tracker.advance("bars", done=number / len(spec.symbols))
        try:
            clean = source.history(symbol, bars=spec.lookback, as_of=None, now=now)
        except UnknownSymbol:
            skipped.append(_skip(symbol, "the upstream knows no such symbol"))
            continue
        except UpstreamInvalid as error:
            skipped.append(_skip(symbol, error.reason))
            continue
        if clean.frame.is_empty():
            skipped.append(_skip(symbol, "no final bars"))
            continue
        loaded.append(clean)
    if not loaded:
        raise TrainingFailed(
            f"none of the symbols has bars: {_reasons(skipped)}; see TRAIN_SYMBOLS"
        )
    if len(loaded) < spec.min_symbols:
        raise TrainingFailed(
            f"{len(loaded)} of {len(spec.symbols)} symbols have bars, fewer than the "
            f"{spec.min_symbols} of TRAIN_MIN_SYMBOLS: {_reasons(skipped)}"
        )
    return TrainingBars(
        pl.concat(clean.frame for clean in loaded),
        tuple(skipped),
        _sum_reports([clean.report for clean in loaded]),
        universe,
    )


def _reasons(skipped: Sequence[SkippedSymbol]) -> str:
    """Each symbol with its reason; many are counted."""
    listed = ", ".join(f"{each.symbol} ({each.reason})" for each in skipped[:_LISTED_SYMBOLS])
    further = len(skipped) - _LISTED_SYMBOLS
    return f"{listed} and {further} more" if further > 0 else listed


def _skip(symbol: str, reason: str) -> SkippedSymbol:
    log.warning("symbol skipped", extra={"symbol": symbol, "reason": reason})
    return SkippedSymbol(symbol, reason)


def _sum_reports(reports: Sequence[BarsReport]) -> BarsEntry:
    mended: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    for report in reports:
        mended.update(report.mended)
        dropped.update(report.dropped)
    return BarsEntry(sum(report.accepted for report in reports), dict(mended), dict(dropped))
