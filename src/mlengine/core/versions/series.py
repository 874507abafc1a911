"""The bars of a training in a card: quality a symbol, and what they are adjusted for."""

from collections.abc import Mapping

from mlengine.core.versions.data_entry import DataEntry, SeriesEntry

SERIES_COLUMNS = (
    *("symbol", "status", "bars", "mended", "dropped", "missing", "holes", "jumps", "no volume"),
    *("late", "labels left out"),
)  # fmt: skip


def series_row(entry: SeriesEntry) -> tuple[str, ...]:
    return (
        entry.symbol,
        ", ".join((entry.status, *entry.reasons)),
        f"{entry.bars:,}",
        _counts(entry.mended) or "0",
        _with(f"{entry.dropped_share:.1%}", _counts(entry.dropped)),
        f"{entry.missing_share:.1%} ({entry.calendar})",
        str(entry.holes),
        str(entry.jumps),
        f"{entry.zero_volume_share:.1%}",
        str(entry.missed_bars),
        str(entry.dropped_labels),
    )


def _counts(by_reason: Mapping[str, int] | None) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in (by_reason or {}).items())


def _with(text: str, detail: str) -> str:
    return f"{text} ({detail})" if detail else text


def adjustment_line(data: DataEntry) -> str:
    choices = ", ".join(f"{each.symbol} {each.prices}" for each in data.series if each.prices)
    chosen = f" Of close and adjusted close was taken: {choices}." if choices else ""
    if data.adjust == "none":
        return f"Prices are taken as served.{chosen}"
    kinds = "splits" if data.adjust == "splits" else "splits and dividends"
    counts = ", ".join(f"{each.symbol} {each.actions}" for each in data.series if each.actions)
    return (
        f"Earlier prices are adjusted for {kinds}; actions by symbol: {counts or 'none'}.{chosen}"
    )
