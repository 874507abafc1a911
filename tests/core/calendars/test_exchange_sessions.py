"""Sessions and half days of each exchange, beside those of the package exchange_calendars."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mlengine.core.calendars.calendar import Calendar
from mlengine.core.calendars.hours import EXCHANGES
from mlengine.core.calendars.named import calendar

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "tests" / "golden" / "exchange_sessions"
ORACLE: dict[str, Any] = json.loads((FOLDER / "sessions.json").read_text())
DAYS = [date(2016, 1, 1) + timedelta(days=day) for day in range(4018)]
DIFFERENCE = re.compile(r"^\| (X\w{3}) \| (\d{4}-\d\d-\d\d) \| ([^|]+) \| ([^|]+) \|", re.MULTILINE)


def kinds_here(name: str) -> dict[date, str]:
    """By date: `session`, `closed`, or the time of an early close."""
    market = calendar(name)
    sessions = set(market.sessions(DAYS[0], DAYS[-1]))
    ordinary = ordinary_closes(market)
    kinds = {}
    for day in DAYS:
        close = market.session_close(day)
        local = f"{close.astimezone(market.timezone):%H:%M}" if close else ""
        early = local if local and local < ordinary[day.year] else ""
        kinds[day] = (early or "session") if day in sessions else "closed"
    return kinds


@cache
def ordinary_closes(market: Calendar) -> dict[int, str]:
    """By year, the close of most sessions, and the earlier one in a year that has two."""
    by_year: dict[int, list[str]] = {}
    for day in market.sessions(DAYS[0], DAYS[-1]):
        close = market.session_close(day)
        assert close
        by_year.setdefault(day.year, []).append(f"{close.astimezone(market.timezone):%H:%M}")
    return {
        year: min(each for each in set(closes) if closes.count(each) > 30)
        for year, closes in by_year.items()
    }


def kinds_of_oracle(name: str) -> dict[date, str]:
    closures, weekend = set(ORACLE[name]["closures"]), set(ORACLE[name]["weekend_sessions"])
    early = ORACLE[name]["early_closes"]
    return {
        day: early.get(str(day), "session")
        if str(day) in weekend or (day.weekday() < 5 and str(day) not in closures)
        else "closed"
        for day in DAYS
    }


def differences(name: str) -> set[tuple[str, str, str, str]]:
    here, oracle = kinds_here(name), kinds_of_oracle(name)
    return {(name, str(day), oracle[day], here[day]) for day in DAYS if oracle[day] != here[day]}


def test_the_golden_file_is_the_one_that_was_made() -> None:
    metadata = json.loads((FOLDER / "metadata.json").read_text())
    content = (FOLDER / "sessions.json").read_bytes()
    assert hashlib.sha256(content).hexdigest() == metadata["sha256"]


def test_every_exchange_has_an_oracle() -> None:
    assert set(ORACLE) == set(EXCHANGES)


@pytest.mark.parametrize("name", ["XNYS", "XNAS", "XLON", "XTKS", "XETR"])
def test_no_session_and_no_half_day_differs(name: str) -> None:
    assert differences(name) == set()


@pytest.mark.parametrize("name", sorted(EXCHANGES))
def test_the_page_lists_every_difference(name: str) -> None:
    page = (ROOT / "docs" / "calendars.md").read_text(encoding="utf-8")
    listed = {row for row in DIFFERENCE.findall(page) if row[0] == name}
    assert differences(name) == listed
