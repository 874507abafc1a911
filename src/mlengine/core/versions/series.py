"""The quality of each symbol's bars as a row of a card."""

from mlengine.core.versions.manifest import SeriesEntry

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
