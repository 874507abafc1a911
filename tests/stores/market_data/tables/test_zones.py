"""Times with offsets, with zones, and with neither."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from tests.written_tables import (
    DAY,
    DAYS,
    EVER,
    HOUR,
    MIDNIGHTS,
    ROWS,
    dated,
    lines,
    read,
    rows,
)

from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.files import FilesMarketData


def test_dates_with_an_offset_are_sessions_of_their_own_date(tmp_path):
    zone = ZoneInfo("America/New_York")
    days = [date(2024, 10, 25) + i * DAY for i in range(20)]
    starts = [datetime(day.year, day.month, day.day, tzinfo=zone) for day in days]
    table = [(at.isoformat(sep=" "), *row, 0.0) for at, row in zip(starts, ROWS, strict=True)]
    head = "Date,Open,High,Low,Close,Volume,Dividends"
    (tmp_path / "AAA.csv").write_text(lines(table, head))
    candles = read(tmp_path)
    assert candles["timestamp"].to_list() == starts
    assert candles["session"].to_list() == days
    assert rows(candles) == ROWS


def test_interactive_brokers_names_the_zone_of_each_row(tmp_path):
    zone = ZoneInfo("US/Eastern")
    starts = [datetime(2024, 10, 25, 9, 30, tzinfo=zone) + i * DAY for i in range(20)]
    table = [(f"{at:%Y%m%d %H:%M:%S} US/Eastern", *row)
             for at, row in zip(starts, ROWS, strict=True)]  # fmt: skip
    (tmp_path / "AAA.csv").write_text(lines(table, "date,open,high,low,close,volume"))
    candles = read(tmp_path)
    assert candles["timestamp"].to_list() == [at.astimezone(UTC) for at in starts]
    assert candles["session"].to_list() == [at.date() for at in starts]


@pytest.mark.parametrize("name", ["America/New_York", "Europe/Berlin", "Asia/Tokyo"])
def test_abbreviations_name_the_offset_of_their_season(tmp_path, name):
    starts = [datetime(2024, 10, 18, 9, 30, tzinfo=ZoneInfo(name)) + i * DAY for i in range(20)]
    table = [(f"{at:%Y-%m-%d %H:%M:%S %Z}", *row) for at, row in zip(starts, ROWS, strict=True)]
    (tmp_path / "AAA.csv").write_text(lines(table, "date,open,high,low,close,volume"))
    assert read(tmp_path)["timestamp"].to_list() == [at.astimezone(UTC) for at in starts]


def test_an_abbreviation_of_several_markets_is_not_guessed(tmp_path):
    table = [(f"{day} 09:30:00 CST", *row) for day, row in zip(DAYS, ROWS, strict=True)]
    (tmp_path / "AAA.csv").write_text(lines(table, "date,open,high,low,close,volume"))
    with pytest.raises(UpstreamInvalid, match="CST"):
        read(tmp_path)


def test_the_hour_that_comes_twice_is_told_by_the_order_of_its_rows(tmp_path):
    zone = ZoneInfo("America/New_York")
    starts = [datetime(2024, 11, 2, 20, tzinfo=UTC) + i * timedelta(minutes=30) for i in range(40)]
    text = lines(
        [(f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S}", *ROWS[0]) for at in starts],
        "datetime,open,high,low,close,volume",
    )
    (tmp_path / "AAA.csv").write_text(text)
    (tmp_path / "bars.toml").write_text('zone = "America/New_York"\n')
    assert read(tmp_path, interval="30m")["timestamp"].to_list() == starts
    head, *body = text.splitlines()
    (tmp_path / "AAA.csv").write_text("\n".join([head, *body[::-1], ""]))
    assert read(tmp_path, interval="30m")["timestamp"].to_list() == starts[::-1]


def test_an_hour_that_came_once_or_never_has_no_moment(tmp_path):
    texts = ["2024-11-03 00:00", "2024-11-03 01:00", "2024-11-03 03:00", "2024-03-10 02:30"]
    table = [(text, *ROWS[0]) for text in texts]
    (tmp_path / "AAA.csv").write_text(lines(table, "datetime,open,high,low,close,volume"))
    (tmp_path / "bars.toml").write_text('zone = "America/New_York"\n')
    known = [at and at.hour for at in read(tmp_path, interval="1h")["timestamp"]]
    assert known == [4, None, 8, None]


def test_a_date_without_a_midnight_is_a_date(tmp_path):
    table = [(f"2017-10-{day}", *ROWS[0]) for day in (14, 15, 16)]
    (tmp_path / "AAA.csv").write_text(lines(table, "date,open,high,low,close,volume"))
    (tmp_path / "bars.toml").write_text('zone = "America/Sao_Paulo"\n')
    candles = read(tmp_path)
    assert candles["session"].to_list() == [date(2017, 10, day) for day in (14, 15, 16)]
    assert [at.hour for at in candles["timestamp"]] == [3, 3, 2]


def test_stamps_may_be_those_of_the_close(tmp_path):
    (tmp_path / "bars.toml").write_text('stamp = "end"\nzone = "America/New_York"\n')
    table = [(f"{day}T16:00:00", *row) for day, row in zip(DAYS, ROWS, strict=True)]
    (tmp_path / "AAA.csv").write_text(lines(table, "timestamp,open,high,low,close,volume"))
    daily = read(tmp_path)
    closes = [at + 21 * HOUR for at in MIDNIGHTS]
    assert daily["closes_at"].to_list() == closes
    assert daily["session"].to_list() == DAYS
    hourly = read(tmp_path, interval="1h")
    assert hourly["timestamp"].to_list() == [at - HOUR for at in closes]
    (tmp_path / "AAA.csv").write_text(lines(dated(), "date,open,high,low,close,volume"))
    assert read(tmp_path)["session"].to_list() == DAYS
    assert read(tmp_path, interval="1w")["session"].to_list() == [day - 6 * DAY for day in DAYS]


def test_dukascopy_writes_its_zone_behind_each_time(tmp_path):
    (tmp_path / "EURUSD.csv").write_text(
        "Local time,Open,High,Low,Close,Volume\n"
        "26.10.2024 23:00:00.000 GMT+0200,1.5,2.5,0.5,2.25,100\n"
        "27.10.2024 23:00:00.000 GMT+0100,1.5,2.5,0.5,2.25,100\n"
    )
    candles = read(tmp_path, "EURUSD", "1h")
    expected = [datetime(2024, 10, 26, 21, tzinfo=UTC), datetime(2024, 10, 27, 22, tzinfo=UTC)]
    assert candles["timestamp"].to_list() == expected


def test_a_short_last_bar_that_is_stamped_at_its_end_begins_where_the_one_before_ended(tmp_path):
    """Whatever the order of the rows, and also where it was appended."""
    (tmp_path / "bars.toml").write_text('stamp = "end"\n')
    ends = [f"2024-01-{day:02} {clock}" for day in (2, 3) for clock in ("14:30", "15:30", "16:00")]
    table = [(end, *row) for end, row in zip(ends, ROWS, strict=False)]
    head = "Date,Open,High,Low,Close,Volume"
    starts = [
        datetime(2024, 1, day, hour, 30, tzinfo=UTC) for day in (2, 3) for hour in (13, 14, 15)
    ]
    source = FilesMarketData(tmp_path)
    for count in (5, 6):
        (tmp_path / "AAA.csv").write_text(lines(table[:count], head))
        read = source.candles("AAA", "1h", **EVER)
        assert read["timestamp"].to_list() == starts[:count]
    (tmp_path / "AAA.csv").write_text(lines([*table[::-1], table[0]], head))
    assert source.candles("AAA", "1h", **EVER)["timestamp"].to_list() == [*starts[::-1], starts[0]]
