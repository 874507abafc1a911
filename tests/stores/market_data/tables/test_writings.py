"""One series in every way to write it: read as it was, or refused where that is ambiguous."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
from hypothesis import event, given, settings
from hypothesis import strategies as st
from tests.written_tables import EVER

from mlengine.core.bars.bars import VALUES
from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.files import FilesMarketData

STEPS = {"1m": timedelta(minutes=1), "30m": timedelta(minutes=30), "1h": timedelta(hours=1)}
ZONES = ("UTC", "America/New_York", "Asia/Tokyo", "Europe/London", "Asia/Kolkata")
NAIVE = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y.%m.%d %H:%M", "%Y%m%d %H:%M:%S", "%Y%m%d%H%M%S")
DAY_ORDERS = ("%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%m-%d-%Y %I:%M %p")
EPOCHS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True)
class Writing:
    time: str
    zone: str
    decimal: str
    separator: str
    is_reversed: bool
    line_end: str
    packed: bool

    def times(self, starts: list[datetime]) -> list[str]:
        if self.time in EPOCHS:
            return [str(int(at.timestamp()) * EPOCHS[self.time]) for at in starts]
        local = [at.astimezone(ZoneInfo(self.zone)) for at in starts]
        if self.time == "offset":
            return [at.isoformat(sep=" ") for at in local]
        if self.time == "zone":
            return [f"{at:%Y%m%d %H:%M:%S} {self.zone}" for at in local]
        return [f"{at:{self.time}}" for at in local]

    def number(self, value: float) -> str:
        text = f"{value:.4f}".replace(".", self.decimal)
        return f'"{text}"' if self.decimal == self.separator else text

    def text(self, starts: list[datetime], values: list[tuple[float, ...]]) -> str:
        rows = [
            self.separator.join([at, *map(self.number, row)])
            for at, row in zip(self.times(starts), values, strict=True)
        ]
        header = self.separator.join(["time", *VALUES])
        return self.line_end.join([header, *(rows[::-1] if self.is_reversed else rows), ""])


WRITINGS = st.builds(
    Writing,
    time=st.sampled_from((*NAIVE, *DAY_ORDERS, *EPOCHS, "offset", "zone")),
    zone=st.sampled_from(ZONES),
    decimal=st.sampled_from(".,"),
    separator=st.sampled_from(",;\t"),
    is_reversed=st.booleans(),
    line_end=st.sampled_from(["\n", "\r\n"]),
    packed=st.booleans(),
)


def read_or_refusal(folder: Path, interval: str) -> pl.DataFrame | str:
    try:
        return FilesMarketData(folder).candles("AAA", interval, **EVER).sort("line")
    except UpstreamInvalid as error:
        return error.reason


@settings(max_examples=100, deadline=None)
@given(
    writing=WRITINGS,
    interval=st.sampled_from(list(STEPS)),
    first=st.datetimes(datetime(1990, 1, 1), datetime(2036, 1, 1)),  # noqa: DTZ001 - of any zone
    rows=st.integers(2, 90),
    price=st.floats(0.01, 90_000),
)
def test_a_series_is_read_as_it_was_however_it_is_written(
    tmp_path_factory, writing, interval, first, rows, price
):
    step = STEPS[interval]
    start = first.replace(tzinfo=UTC, minute=0, second=0, microsecond=0)
    starts = [start + i * step for i in range(rows)]
    values = [
        tuple(round(price * (1 + i / 100) * k, 4) for k in (1.0, 1.02, 0.98, 1.01, 3.0))
        for i in range(rows)
    ]
    folder = tmp_path_factory.mktemp("writing")
    content = writing.text(starts, values).encode()
    name = "AAA.csv.gz" if writing.packed else "AAA.csv"
    (folder / name).write_bytes(gzip.compress(content) if writing.packed else content)
    (folder / "bars.toml").write_text(f"zone = '{writing.zone}'\n")
    candles = read_or_refusal(folder, interval)
    if isinstance(candles, str):
        event("refused")
        local_days = [at.astimezone(ZoneInfo(writing.zone)).day for at in starts]
        assert writing.time in DAY_ORDERS
        assert max(local_days) <= 12
        assert "is the day or the month first?" in candles
        return
    if writing.is_reversed:
        candles = candles.reverse()
    assert candles.select(VALUES).rows() == values
    # A time that may be either of two has no moment, where the order of the rows does not tell.
    read = candles["timestamp"].to_list()
    local = pl.Series(writing.times(starts))
    only_once = (local.is_unique() if writing.time != "offset" else local.is_not_null()).to_list()
    for moment, expected, once in zip(read, starts, only_once, strict=True):
        assert moment == expected or (
            moment is None and not (once and _is_plain(expected, writing))
        )


def _is_plain(at: datetime, writing: Writing) -> bool:
    """Whether no clock of the zone is set within a day of this moment."""
    zone = ZoneInfo(writing.zone)
    day = timedelta(days=1)
    offsets = {(at + shift).astimezone(zone).utcoffset() for shift in (-day, day)}
    return len(offsets) == 1
