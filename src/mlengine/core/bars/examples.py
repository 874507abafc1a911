"""What cleaning does to candles, counted by symbol and reason, with the first example of each."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

import polars as pl

from mlengine.core.bars.bars import PRICES, VALUES, AffectedCandle, BarsReport

# What an example is made of.
EXAMPLE_COLUMNS = ("began", "closes_at", "file", "line")
# Polars has years that Python has not.
_MOMENT = pl.col("began", "closes_at")
_MOMENTS = pl.when(_MOMENT.dt.year().is_between(1, 9999)).then(_MOMENT).name.keep()
# What a reason for which all candles go may come from.
_HINTS = {
    "conflicting": "several bars of one time differ; is it more than one symbol, or source?",
    "not_positive": "MARKET_DATA_NEGATIVE_PRICES takes any sign",
}


@dataclass(frozen=True)
class ReasonCounts:
    """The numbers of candles by symbol and reason, and of each pair the first example."""

    counts: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    examples: dict[str, dict[str, AffectedCandle]] = field(
        default_factory=lambda: defaultdict(dict)
    )

    def add(self, reason: str, rows: pl.DataFrame) -> None:
        """Count `rows`, once each or as often as a column `times` says."""
        if rows.is_empty():
            return
        times = rows["times"].to_list() if "times" in rows.columns else [1] * rows.height
        counted = Counter[str]()
        for symbol, count in zip(rows["symbol"].to_list(), times, strict=True):
            counted[symbol] += count
        for symbol, count in counted.items():
            self.counts[symbol][reason] = count
        firsts = rows.unique("symbol", keep="first", maintain_order=True)
        for row in firsts.select("symbol", *VALUES, _MOMENTS, "file", "line").iter_rows(named=True):
            self.examples[row["symbol"]][reason] = _example(row, reason)


def bars_report(
    symbol: str, accepted: int, *, mended: ReasonCounts, dropped: ReasonCounts
) -> BarsReport:
    if not mended.counts and not dropped.counts:
        return _report_of_good_candles(accepted)
    return BarsReport(
        accepted,
        dict(mended.counts.get(symbol, {})),
        dict(dropped.counts.get(symbol, {})),
        {**mended.examples.get(symbol, {}), **dropped.examples.get(symbol, {})},
    )


def dropped_text(report: BarsReport) -> str:
    """The reasons for which candles were dropped, with numbers, the first candle, and a hint."""
    return "; ".join(
        " ".join([f"{reason} {count}", *_place(report.examples.get(reason)), *_hint(reason)])
        for reason, count in sorted(report.dropped.items())
    )


def _place(example: AffectedCandle | None) -> list[str]:
    if example is None:
        return []
    where = f"in {example.file!r}, line {example.line}, " if example.file else ""
    return [f"(first {where}{example.column} {str(example.value)[:40]})"]


def _hint(reason: str) -> list[str]:
    return [f"- {_HINTS[reason]}"] if reason in _HINTS else []


@lru_cache(maxsize=1_024)
def _report_of_good_candles(accepted: int) -> BarsReport:
    return BarsReport(accepted, {}, {}, {})


def _example(row: Mapping[str, object], reason: str) -> AffectedCandle:
    column = _column(row, reason)
    value = row["began"] if column == "timestamp" else row[column]
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    line = row["line"]
    return AffectedCandle(
        file=None if row["file"] is None else str(row["file"]),
        line=line if isinstance(line, int) else None,
        column=column,
        value=None if value is None else text,
    )


def _column(row: Mapping[str, object], reason: str) -> str:
    """The column that shows the reason best."""
    values = {name: number for name in VALUES if isinstance(number := row[name], float)}
    if reason == "not_finite":
        finite = {name for name, number in values.items() if math.isfinite(number)}
        return next(name for name in VALUES if name not in finite)
    if reason == "not_positive":
        return next(name for name in PRICES if values[name] <= 0)
    if reason in ("ohlc_order", "ohlc_rounding"):
        return "high" if values["high"] < max(values[name] for name in PRICES) else "low"
    return {"negative_volume": "volume", "closes_before_start": "closes_at"}.get(
        reason, "timestamp"
    )
