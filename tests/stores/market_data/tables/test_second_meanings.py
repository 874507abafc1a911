"""Cells that mean something else than they say: never another number, but a word with its place."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from tests.written_tables import DAYS, EVER, HOURS, MIDNIGHTS, ROWS, lines, read, rows

from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.files import FilesMarketData

HEADER = "Date,Open,High,Low,Close,Volume"
CUT = "is this one number, with a sign of thousands between?"


def test_a_volume_that_a_sign_of_thousands_has_cut_is_refused_with_its_place(tmp_path):
    """Beside two empty columns the row is no longer than others."""
    cells = [
        (day, *row[:4], f"1,0{i:02}", "", "")
        for i, (day, row) in enumerate(zip(DAYS, ROWS, strict=True))
    ]
    (tmp_path / "AAA.csv").write_text(lines(cells, f"{HEADER},Dividends,Splits"))
    with pytest.raises(UpstreamInvalid) as refused:
        read(tmp_path)
    assert "the file 'AAA.csv', line 2, column 'Volume', value '1,000'" in refused.value.reason
    assert CUT in refused.value.reason
    assert "columns.volume" in refused.value.reason
    (tmp_path / "bars.toml").write_text("columns = { volume = 'Volume' }\n")
    assert rows(read(tmp_path))[0] == (*ROWS[0][:4], 1.0)


@pytest.mark.parametrize("beside", ["{0}", "1{0}", "0.1{0}", ""])
def test_a_small_volume_beside_a_count_is_a_volume(tmp_path, beside):
    cells = [
        (day, *row[:4], 100 + i, beside.format(f"{i:02}"))
        for i, (day, row) in enumerate(zip(DAYS, ROWS, strict=True))
    ]
    (tmp_path / "AAA.csv").write_text(lines(cells, f"{HEADER},Trades"))
    assert [row[4] for row in rows(read(tmp_path))] == [100.0 + i for i in range(len(ROWS))]


@pytest.mark.parametrize("name", ["interval", "TimeFrame", "<PER>", "bar_size"])
def test_bars_of_several_intervals_are_never_one_series(tmp_path, name):
    weeks = [(day - timedelta(days=1), "W", *ROWS[0]) for day in DAYS[::7]]
    days = [(day, "D", *row) for day, row in zip(DAYS, ROWS, strict=True)]
    header = HEADER.replace("Date,", f"Date,{name},")
    (tmp_path / "AAA.csv").write_text(lines([*days, *weeks], header))
    place = f"the file 'AAA.csv', line 22, column '{name}', value 'W': another interval than 'D'"
    with pytest.raises(UpstreamInvalid, match=r"columns\.interval = ''") as refused:
        read(tmp_path)
    assert place in refused.value.reason
    (tmp_path / "AAA.csv").write_text(lines(days, header))
    assert rows(read(tmp_path)) == ROWS


def test_rows_of_another_interval_that_are_appended_are_seen(tmp_path):
    header = HEADER.replace("Date,", "Date,interval,")
    days = [(day, "1d", *row) for day, row in zip(DAYS, ROWS, strict=True)]
    path = tmp_path / "AAA.csv"
    path.write_text(lines(days, header))
    source = FilesMarketData(tmp_path)
    assert source.candles("AAA", "1d", **EVER).height == len(days)
    with path.open("a") as file:
        file.write(lines([(DAYS[-1] + timedelta(days=1), "1w", *ROWS[0])]))
    # What has changed just now may be in the middle of it.
    os.utime(path, (path.stat().st_mtime - 60,) * 2)
    with pytest.raises(UpstreamInvalid, match="line 22, column 'interval', value '1w'"):
        source.candles("AAA", "1d", **EVER)


def test_an_interval_can_be_denied_or_named(tmp_path):
    cells = [(day, "ab"[i % 2], *ROWS[i]) for i, day in enumerate(DAYS)]
    (tmp_path / "AAA.csv").write_text(lines(cells, HEADER.replace("Date,", "Date,Frequency,")))
    (tmp_path / "bars.toml").write_text("columns = { interval = '' }\n")
    assert rows(read(tmp_path)) == ROWS
    (tmp_path / "AAA.csv").write_text(lines(cells, HEADER.replace("Date,", "Date,Art,")))
    (tmp_path / "bars.toml").write_text("columns = { interval = 'Art' }\n")
    with pytest.raises(UpstreamInvalid, match="line 3, column 'Art', value 'b'"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("preface", "zone"),
    [
        ("Time zone: America/New_York", "America/New_York"),
        ("# timezone=US/Eastern", "US/Eastern"),
        ('"Timezone","EST",,', "EST"),
        ("Prices of AAA (all times are in CET)", "CET"),
    ],
)
def test_a_zone_that_stands_above_the_header_is_not_passed_over(tmp_path, preface, zone):
    cells = [(f"{at:%Y-%m-%d %H:%M}", *row) for at, row in zip(HOURS, ROWS, strict=True)]
    (tmp_path / "AAA.csv").write_text(f"AAA\n{preface}\n" + lines(cells, HEADER))
    with pytest.raises(UpstreamInvalid) as refused:
        read(tmp_path, interval="1h")
    place = f"the file 'AAA.csv', line 2, value '{zone}': is this the zone of its times?"
    assert place in refused.value.reason
    assert "Set zone in bars.toml" in refused.value.reason
    (tmp_path / "bars.toml").write_text("zone = 'America/New_York'\n")
    assert read(tmp_path, interval="1h")["timestamp"][0] == HOURS[0] + timedelta(hours=5)


@pytest.mark.parametrize("preface", ["Time zone: UTC", "tz=GMT", "Times of trades", "Zone"])
def test_what_says_nothing_of_a_zone_is_passed_over(tmp_path, preface):
    cells = [(f"{at:%Y-%m-%d %H:%M}", *row) for at, row in zip(HOURS, ROWS, strict=True)]
    (tmp_path / "AAA.csv").write_text(f"{preface}\n" + lines(cells, HEADER))
    assert read(tmp_path, interval="1h")["timestamp"].to_list() == HOURS


def test_days_have_no_zone_above_their_header(tmp_path):
    cells = [(day, *row) for day, row in zip(DAYS, ROWS, strict=True)]
    (tmp_path / "AAA.csv").write_text("Time zone: America/New_York\n" + lines(cells, HEADER))
    assert read(tmp_path)["timestamp"].to_list() == MIDNIGHTS


SESSION = [
    datetime(2024, 1, day, 9, 30, tzinfo=UTC) + timedelta(hours=i)
    for day in (2, 3, 4)
    for i in range(7)
]


def session(form: str, *, backward: bool = False, header: str = HEADER) -> str:
    """Three days of hours from half past nine on, to half past three."""
    cells = [(at.strftime(form).replace(" 0", " "), *ROWS[0]) for at in SESSION]
    return lines(cells[::-1] if backward else cells, header)


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("form", ["%Y-%m-%d %I:%M", "%Y.%m.%d-%I:%M:%S"])
def test_hours_that_have_lost_their_half_of_the_day_are_refused(tmp_path, form, backward):
    """Half past one after half past twelve is no time of the night."""
    (tmp_path / "AAA.csv").write_text(session(form, backward=backward))
    with pytest.raises(UpstreamInvalid, match="is it before noon or after") as refused:
        read(tmp_path, interval="1h")
    assert "the file 'AAA.csv', line " in refused.value.reason
    assert "column 'Date'" in refused.value.reason
    assert "date_format in bars.toml" in refused.value.reason


def test_a_clock_of_its_own_has_lost_its_half_of_the_day_as_well(tmp_path):
    header = HEADER.replace("Date", "Date,Time")
    (tmp_path / "AAA.csv").write_text(session("%Y-%m-%d,%I:%M", header=header))
    with pytest.raises(UpstreamInvalid, match="column 'Time', value '01:30'"):
        read(tmp_path, interval="1h")


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("form", ["%Y-%m-%d %I:%M %p", "%Y-%m-%d %H:%M", "%Y-%m-%d %I:%M%p"])
def test_hours_that_say_their_half_are_read(tmp_path, form, backward):
    (tmp_path / "AAA.csv").write_text(session(form, backward=backward))
    read_ = read(tmp_path, interval="1h")["timestamp"].to_list()
    assert read_ == (SESSION[::-1] if backward else SESSION)


def test_mornings_alone_are_read_also_of_several_symbols_and_out_of_order(tmp_path):
    """As by UTC the sessions of the east are; and a format that is stated decides."""
    hours = [datetime(2024, 1, day, hour, tzinfo=UTC) for day in (2, 3) for hour in range(1, 8)]
    cells = [(f"{at:%Y-%m-%d %H:%M}", name, *ROWS[0]) for at in hours for name in ("AAA", "BBB")]
    header = HEADER.replace("Date", "Date,Symbol")
    (tmp_path / "all.csv").write_text(lines(sorted(cells, key=lambda row: row[1]), header))
    assert read(tmp_path, interval="1h")["timestamp"].to_list() == hours
    (tmp_path / "CCC.csv").write_text(session("%Y-%m-%d %I:%M"))
    (tmp_path / "bars.toml").write_text("[files.'CCC*']\ndate_format = '%Y-%m-%d %H:%M'\n")
    assert read(tmp_path, "CCC", interval="1h")["timestamp"].to_list()[4].hour == 1


@pytest.mark.parametrize(
    ("volume", "expected"),
    [("1.11M", 1_110_000.0), ("4.35M", 4_350_000.0), ("0.29M", 290_000.0), ("1.001K", 1_001.0)],
)
def test_a_volume_in_millions_is_the_number_that_it_says(tmp_path, volume, expected):
    """1.11 times a million is 1,110,000.0000000002."""
    cells = [(day, *row[:4], volume) for day, row in zip(DAYS, ROWS, strict=True)]
    (tmp_path / "AAA.csv").write_text(lines(cells, HEADER))
    assert read(tmp_path)["volume"].equals(pl.Series([expected] * len(ROWS)))


LOADED = HEADER.replace("Date", "id,date").lower() + ",timestamp"


@pytest.mark.parametrize("stamp", ["timestamp", "time", "ts"])
def test_the_time_at_which_a_row_was_loaded_is_not_that_of_its_bar(tmp_path, stamp):
    cells = [
        (i, day, *ROWS[i], f"{DAYS[0] + timedelta(days=900 + i)} 02:10:05")
        for i, day in enumerate(DAYS)
    ]
    (tmp_path / "AAA.csv").write_text(lines(cells, LOADED.replace("timestamp", stamp)))
    with pytest.raises(UpstreamInvalid, match=r"columns\.timestamp") as refused:
        read(tmp_path)
    place = f"the file 'AAA.csv', line 2, column '{stamp}', value '2027-06-15 02:10:05'"
    assert f"{place}: is this the time of the bar, or is it 2024-12-27" in refused.value.reason
    (tmp_path / "bars.toml").write_text("columns = { timestamp = 'date' }\n")
    assert read(tmp_path)["timestamp"].to_list() == MIDNIGHTS
    (tmp_path / "bars.toml").write_text(f"columns = {{ timestamp = '{stamp}' }}\n")
    assert read(tmp_path)["timestamp"][0] == datetime(2027, 6, 15, 2, 10, 5, tzinfo=UTC)


@pytest.mark.parametrize("hours", [-15, -9, 0, 5, 29])
@pytest.mark.parametrize("date", ["%Y-%m-%d", "%d/%m/%Y", "later"])
def test_a_date_beside_a_time_may_be_that_of_any_zone(tmp_path, hours, date):
    """And what is no date is none."""
    cells = [
        (i, f"{day:{date}}", *ROWS[i], int((at + timedelta(hours=hours)).timestamp()))
        for i, (day, at) in enumerate(zip(DAYS, MIDNIGHTS, strict=True))
    ]
    (tmp_path / "AAA.csv").write_text(lines(cells, LOADED))
    expected = [at + timedelta(hours=hours) for at in MIDNIGHTS]
    assert read(tmp_path)["timestamp"].to_list() == expected


def test_a_date_that_is_stored_as_a_moment_has_its_time_beside_it(tmp_path):
    cells = [(f"{at:%Y-%m-%d} 00:00:00", f"{at:%H:%M}", *ROWS[i]) for i, at in enumerate(HOURS)]
    (tmp_path / "AAA.csv").write_text(lines(cells, HEADER.replace("Date", "Date,Time")))
    assert read(tmp_path, interval="1h")["timestamp"].to_list() == HOURS
