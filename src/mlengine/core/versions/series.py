"""The bars of a training in a card: quality a symbol, and what they are adjusted for."""

from mlengine.core.versions.data_entry import DataEntry, SeriesEntry

SERIES_COLUMNS = (
    "symbol", "status", "bars", "dropped", "missing", "holes", "jumps", "labels left out"
)  # fmt: skip


def series_row(entry: SeriesEntry) -> tuple[str, ...]:
    return (
        entry.symbol,
        ", ".join((entry.status, *entry.reasons)),
        f"{entry.bars:,}",
        f"{entry.dropped_share:.1%}",
        f"{entry.missing_share:.1%} ({entry.calendar})",
        str(entry.holes),
        str(entry.jumps),
        str(entry.dropped_labels),
    )


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
