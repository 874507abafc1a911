from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from mlengine.core.bars.bars import RAW_SCHEMA
from mlengine.core.bars.interval_check import interval_mismatches

START = datetime(2026, 1, 5, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def candles(moments: list[datetime], symbol: str = "AAA", file: str | None = None) -> pl.DataFrame:
    frame = pl.DataFrame(
        {"symbol": symbol, "timestamp": moments, "file": file}, schema_overrides=RAW_SCHEMA
    )
    return frame.match_to_schema(RAW_SCHEMA, missing_columns="insert")


def every(step: timedelta, count: int = 300) -> list[datetime]:
    return [START + i * step for i in range(count)]


def weekdays(count: int, zone: ZoneInfo | None = None) -> list[datetime]:
    days = (START + i * DAY for i in range(2 * count))
    chosen = [day for day in days if day.weekday() < 5][:count]
    return [day.replace(tzinfo=zone).astimezone(UTC) for day in chosen] if zone else chosen


def session(*times: tuple[int, int], days: int = 120) -> list[datetime]:
    local = [day.replace(hour=h, minute=m, tzinfo=NEW_YORK)
             for day in weekdays(days) for h, m in times]  # fmt: skip
    return [moment.astimezone(UTC) for moment in local]


def half_days(moments: list[datetime]) -> list[datetime]:
    return [m for i, m in enumerate(moments) if not (i // 7 % 20 == 0 and i % 7 > 3)]


def fx_4h() -> Iterator[datetime]:
    local = datetime(2026, 1, 4, 17)  # noqa: DTZ001 - a local time, which summer time moves
    while local < datetime(2026, 11, 20):  # noqa: DTZ001
        week = (local.weekday() - 6) % 7 * 24 + local.hour - 17
        if 0 <= week < 120:
            yield local.replace(tzinfo=NEW_YORK).astimezone(UTC)
        local += 4 * HOUR


def never_neighbours(unit: timedelta) -> list[datetime]:
    gaps = np.random.default_rng(1).choice((2, 3, 4, 7, 11), 600)
    return [START + int(at) * unit for at in np.cumsum(gaps)]


def some_of(count: int, moments: list[datetime]) -> list[datetime]:
    rows = np.random.default_rng(2).choice(len(moments), count, replace=False)
    return [moments[row] for row in sorted(rows)]


HOURLY = session(*[(h, 30) for h in range(9, 16)])
QUARTERS = session((9, 15), (9, 30), (9, 45), (10, 0), (10, 15), (10, 30))
MONDAYS = every(7 * DAY)
AFTER_HOLIDAYS = [day + DAY * (i % 9 == 0) for i, day in enumerate(MONDAYS)]
ONCE_A_DAY = [day + (14 + i * i % 7) * HOUR for i, day in enumerate(weekdays(90))]

OF_THE_INTERVAL: dict[str, tuple[str, Callable[[], list[datetime]]]] = {
    "openings at half past and half days": ("1h", lambda: half_days(HOURLY)),
    "full hours after an opening at half past": (
        "1h",
        lambda: session((9, 30), *[(h, 0) for h in range(10, 16)]),
    ),
    "full hours after a break, too": (
        "1h",
        lambda: session(
            (9, 0),
            (10, 0),
            (11, 0),
            (12, 30),
            *[(h, 0) for h in range(13, 16)],
        ),
    ),
    "quarters of an hour of a session": ("15m", lambda: QUARTERS),
    "four hours over summer time": ("4h", lambda: list(fx_4h())),
    "two a session": ("4h", lambda: session((9, 30), (13, 30))),
    "weeks from Sunday": ("1w", lambda: [day - DAY for day in MONDAYS]),
    "weeks from Monday": ("1w", lambda: MONDAYS),
    "weeks after holidays": ("1w", lambda: AFTER_HOLIDAYS),
    "local midnights": ("1d", lambda: weekdays(300, NEW_YORK)),
    "around the clock": ("1h", lambda: every(HOUR)),
    "minutes that are never neighbours": ("1m", lambda: never_neighbours(MINUTE)),
    "rare minutes": ("1m", lambda: some_of(900, every(MINUTE, 6000))),
    "one trade a day at any hour": ("1h", lambda: ONCE_A_DAY),
    "days that are never neighbours": ("1d", lambda: never_neighbours(DAY)),
    "a day's running row beside it": ("1d", lambda: [*every(DAY, 3), START + 2 * DAY + HOUR]),
    "two": ("1h", lambda: every(DAY, 2)),
    "none": ("1d", list),
}


@pytest.mark.parametrize("case", OF_THE_INTERVAL)
def test_odd_grids_and_rare_bars_are_of_the_interval(case):
    interval, moments = OF_THE_INTERVAL[case]
    assert interval_mismatches(candles(moments()), interval) == {}


@pytest.mark.parametrize(
    ("moments", "interval", "spacing"),
    [
        (every(MINUTE, 5000), "1d", "1 minute"),
        (weekdays(600), "1h", "1 day"),
        (weekdays(600, NEW_YORK), "1h", "1 day"),
        (weekdays(600, NEW_YORK), "4h", "1 day"),
        (weekdays(600), "1w", "1 day"),
        (MONDAYS, "1d", "7 days"),
        ([START.replace(year=y, month=m) for y in range(2010, 2026) for m in range(1, 13)], "1d",
         "31 days"),
        ([START.replace(year=y, month=m) for y in range(2010, 2026) for m in range(1, 13)], "1w",
         "31 days"),
        (MONDAYS, "1h", "7 days"),
        (HOURLY, "1m", "1 hour"),
        (half_days(HOURLY), "30m", "1 hour"),
        (HOURLY, "1d", "1 hour"),
        (QUARTERS, "5m", "15 minutes"),
        (every(HOUR), "4h", "1 hour"),
        (every(4 * HOUR), "1h", "4 hours"),
        (every(timedelta(seconds=15)), "1m", "15 seconds"),
        ([*MONDAYS, MONDAYS[-1] + timedelta(days=4, hours=15.2)], "1d", "7 days"),
        ([*HOURLY, HOURLY[-1] + timedelta(minutes=42, seconds=4)], "1m", "1 hour"),
    ],
)  # fmt: skip
def test_bars_of_another_interval_are_named_with_their_spacing(moments, interval, spacing):
    shuffled = candles(moments, file="AAA.csv").sample(fraction=1.0, shuffle=True, seed=5)
    (refusal,) = interval_mismatches(shuffled, interval).values()
    assert refusal.reason == (
        f"AAA (file 'AAA.csv') has bars of another interval than {interval}: "
        f"they lie {spacing} apart"
    )


def test_each_symbol_is_judged_for_itself():
    parts = [
        candles(every(HOUR, 30), "HOURLY"),
        candles(every(DAY, 30), "DAILY"),
        candles(every(DAY, 1), "ONE"),
        candles(MONDAYS, "WEEKLY"),
    ]
    assert set(interval_mismatches(pl.concat(parts), "1d")) == {"HOURLY", "WEEKLY"}
    assert set(interval_mismatches(pl.concat(parts), "1h")) == {"DAILY", "WEEKLY"}


@pytest.mark.parametrize(
    ("interval", "step", "other"),
    [("5m", 5 * MINUTE, MINUTE), ("1h", HOUR, 30 * MINUTE), ("1h", HOUR, 5 * MINUTE)],
)
@pytest.mark.parametrize("where", ["first", "last"])
def test_one_stretch_of_a_finer_interval_is_seen_in_a_long_series(interval, step, other, where):
    """A share of all gaps would be too small, and the newest bars would be of that."""
    coarse = every(step, 3000)
    fine = [START - i * other for i in range(1, 10)]
    if where == "last":
        fine = [coarse[-1] + step + i * other for i in range(10)]
    (refused,) = interval_mismatches(candles([*coarse, *fine]), interval).values()
    spacing = f"{other // MINUTE} minute" + "s" * (other > MINUTE)
    assert f"they lie {spacing} apart" in refused.reason


@pytest.mark.parametrize("shift", [timedelta(seconds=4), timedelta()])
def test_a_few_rows_of_a_running_bar_are_no_other_interval(shift):
    """Nor many of those that begin when somebody asked."""
    running = [START + 3000 * HOUR + i * MINUTE + shift for i in range(1, 7 if not shift else 40)]
    assert not interval_mismatches(candles([*every(HOUR, 3000), *running]), "1h")
