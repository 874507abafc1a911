"""The bars of a training: every symbol as of one moment, unknown ones skipped by name."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from mlengine.core.bars.bars import BarArrays, BarsReport, CleanBars
from mlengine.core.bars.holes import find_gaps
from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.bars.quality import SeriesQuality, assess
from mlengine.core.calendars.named import calendar
from mlengine.core.runs.progress import ProgressTracker
from mlengine.core.training.spec import TrainSpec
from mlengine.core.versions.data_entry import BarsEntry, SeriesEntry, SkippedSymbol
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
    series: tuple[SeriesEntry, ...] = ()
    universe: Universe | None = None
    adjust: str = "none"

    @property
    def members(self) -> pl.DataFrame | None:
        """Who belonged to the universe when; None where nothing limits the rows."""
        return self.universe.members if self.universe else None

    @property
    def universe_sha256(self) -> str | None:
        """The digest of the universe's file."""
        return self.universe.sha256 if self.universe else None


def load_training_bars(
    upstream: BarService,
    spec: TrainSpec,
    *,
    window_bars: int,
    now: datetime,
    tracker: ProgressTracker,
) -> TrainingBars:
    """The newest `spec.lookback` final bars of each symbol.

    A symbol that the upstream doesn't know, or whose candles can't be used, is skipped. Raises
    TrainingFailed when fewer than `spec.min_symbols` are left or the universe file is bad, and
    UpstreamUnavailable.
    """
    universe = _read_universe(upstream, spec)
    loaded: list[tuple[CleanBars, SeriesEntry]] = []
    skipped: list[SkippedSymbol] = []
    for number, symbol in enumerate(spec.symbols):
        tracker.advance("bars", done=number / len(spec.symbols))
        try:
            clean = upstream.history(symbol, bars=spec.lookback, as_of=None, now=now)
        except UnknownSymbol:
            skipped.append(_skip(symbol, "the upstream knows no such symbol"))
            continue
        except UpstreamInvalid as error:
            skipped.append(_skip(symbol, error.reason))
            continue
        if not clean.arrays.rows:
            skipped.append(_skip(symbol, "no final bars"))
            continue
        quality = _assess(upstream, symbol, clean, spec, window_bars=window_bars, now=now)
        if quality.status == "refused":
            skipped.append(_skip(symbol, f"refused for {', '.join(quality.reasons)}"))
            continue
        actions = upstream.actions_applied(symbol, clean.arrays, at=now)
        prices = ", ".join(sorted(set(upstream.source.price_choices({symbol}).values())))
        loaded.append((clean, _series_entry(quality, actions, prices)))
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
        pl.concat(clean.frame for clean, _ in loaded),
        tuple(skipped),
        _sum_reports([clean.report for clean, _ in loaded]),
        tuple(entry for _, entry in loaded),
        universe,
        upstream.adjustment,
    )


def _read_universe(upstream: BarService, spec: TrainSpec) -> Universe | None:
    """With symbols for their aliases."""
    if spec.universe_file is None:
        return None
    universe = read_universe(Path(spec.universe_file))
    return universe.with_symbols(upstream.markets.canonical)


def labels_across_holes(
    bars: pl.DataFrame, series: Sequence[SeriesEntry], spec: TrainSpec
) -> pl.DataFrame | None:
    """The rows (symbol, timestamp) whose label leads over a hole; None where there are none.

    By the calendars that stand in a manifest, so that a reproduction leaves out the same.
    """
    steps, parts = spec.horizon_bars + spec.label_delay_bars, []
    for entry in series:
        if entry.holes:
            frame = bars.filter(pl.col("symbol") == entry.symbol).sort("timestamp")
            interval, by = INTERVALS[spec.interval], calendar(entry.calendar)
            across = find_gaps(BarArrays.of(frame).starts, interval, by).labels_across(steps)
            parts.append(frame.filter(pl.Series(across)).select("symbol", "timestamp"))
    return pl.concat(parts) if parts else None


def _assess(
    upstream: BarService,
    symbol: str,
    clean: CleanBars,
    spec: TrainSpec,
    *,
    window_bars: int,
    now: datetime,
) -> SeriesQuality:
    return assess(
        symbol,
        clean,
        interval=spec.interval,
        market=upstream.markets.market(symbol),
        window_bars=window_bars,
        label_bars=spec.horizon_bars + spec.label_delay_bars,
        now=now,
    )


def _series_entry(quality: SeriesQuality, actions: int, prices: str) -> SeriesEntry:
    return SeriesEntry(
        symbol=quality.symbol,
        status=quality.status,
        reasons=tuple(quality.reasons),
        bars=quality.accepted,
        calendar=quality.calendar or "",
        dropped_share=quality.dropped_share,
        missing_share=quality.missing_share,
        holes=quality.hole_count,
        jumps=quality.jump_count,
        dropped_labels=quality.labels_across_holes,
        actions=actions,
        prices=prices,
        mended=dict(quality.mended) or None,
        dropped=dict(quality.dropped) or None,
        missing_bars=quality.missing_bars,
        zero_volume_share=quality.zero_volume_share,
        missed_bars=quality.missed_bars,
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
