from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
from tests.factories import START, random_bars

from mlengine.core.bars.bars import BarArrays, BarsReport, CleanBars
from mlengine.core.bars.recorded import KnownBars
from mlengine.core.telemetry.families import CACHE_EVICTIONS
from mlengine.stores.bars.cache import BarCache, CachedBars
from mlengine.stores.bars.series import SeriesMetadata
from mlengine.stores.bars.stored import StoredBars
from mlengine.stores.telemetry.counters import Counters

NOW = datetime(2024, 6, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def no_reasons(_window: CleanBars) -> tuple[str, ...]:
    return ()


def cached(symbol: str = "AAA", *, rows: int = 2) -> CachedBars:
    clean = CleanBars(BarArrays.of(random_bars(symbol, rows=rows)), BarsReport(rows, {}, {}))
    return CachedBars(clean, fetched_at=NOW, expires_at=NOW + 5 * SECOND, asked_from=START)


def test_an_answer_is_good_for_its_time_and_never_before_it():
    cache = BarCache()
    cache.put("AAA", cached())
    assert cache.get("AAA", now=NOW) is not None
    assert cache.get("AAA", now=NOW + 4.9 * SECOND) is not None
    assert cache.get("AAA", now=NOW + 5 * SECOND) is None
    assert cache.get("AAA", now=NOW - SECOND) is None
    assert cache.get("BBB", now=NOW) is None


def test_the_symbol_put_longest_ago_makes_room():
    cache, one = BarCache(), cached()
    for number in range(1000):
        cache.put(f"S{number}", one)
    cache.put("S0", one)
    cache.put("NEW", one)
    assert cache.get("S1", now=NOW) is None
    assert cache.get("S0", now=NOW) is one
    assert cache.get("NEW", now=NOW) is one


def test_bars_that_were_recorded_later_stay():
    cache, series = BarCache(), SeriesMetadata(1, "AAA", START, NOW, NOW, NOW, 5, None, 0)

    def recorded(series: SeriesMetadata) -> CachedBars:
        held = KnownBars(cached().clean.arrays, np.zeros(2, "<i8"), revised_at=0)
        return replace(cached(), stored=StoredBars(held, series, holds_all_recorded=True))

    fifth = recorded(series)
    cache.put("AAA", fifth)
    cache.put("AAA", recorded(series._replace(recordings=4)))
    assert cache.newest("AAA") is fifth
    of_another_series = recorded(series._replace(id=2, recordings=1))
    for newer in (recorded(series), of_another_series, cached()):
        cache.put("AAA", newer)
        assert cache.newest("AAA") is newer


def test_what_was_asked_for_later_is_known():
    cache = BarCache()
    cache.put("AAA", cached())
    assert cache.fetched_after(NOW - SECOND, "AAA")
    assert not cache.fetched_after(NOW, "AAA")
    assert not cache.fetched_after(NOW - SECOND, "BBB")


def test_windows_are_kept_by_what_they_hold_up_to_a_bound():
    bars = cached(rows=100)
    assert bars.window(100, 64, no_reasons) is bars.window(100, 64, no_reasons)
    assert (
        bars.window(99, 64, no_reasons).last_timestamp
        < bars.window(100, 64, no_reasons).last_timestamp
    )
    assert bars.window(100, 20, no_reasons).bars_hash != bars.window(100, 64, no_reasons).bars_hash
    for end in range(64, 101):
        window = bars.window(end, 64, no_reasons).frame()
        assert window.equals(bars.clean.frame.slice(end - 64, 64))


def test_behind_are_those_in_use_that_have_not_got_a_new_bar():
    cache, later = BarCache(), NOW + timedelta(days=1)
    for symbol in ("AAA", "BBB", "CCC"):
        cache.put(symbol, cached(symbol))
    cache.put("NEW", cached("NEW", rows=3))
    for symbol in ("AAA", "BBB", "NEW", "NONE"):
        cache.mark_used([symbol])
    third = cached(rows=3).last_bar
    assert third == START + timedelta(days=2)
    assert cache.symbols_to_refetch(third, now=NOW) == [], "what is good needs no asking"
    assert cache.symbols_to_refetch(third, now=later) == ["AAA", "BBB"]
    assert cache.last_bar("AAA") == START + timedelta(days=1)
    assert cache.last_bar("NONE") is None


def test_a_symbol_is_in_use_for_three_new_bars_after_it_was_asked_for():
    cache, later = BarCache(), NOW + timedelta(days=1)
    for symbol in ("AAA", "BBB"):
        cache.put(symbol, cached(symbol))
        cache.mark_used([symbol])
    stale = []
    for day in range(2, 6):
        bar = START + timedelta(days=day)
        cache.mark_used(["AAA"])
        assert cache.symbols_to_refetch(bar, now=later) == cache.symbols_to_refetch(
            bar, now=later
        ), "noted twice"
        stale.append(cache.symbols_to_refetch(bar, now=later))
    assert stale == [["AAA", "BBB"]] * 3 + [["AAA"]]


def test_so_many_symbols_share_the_room_for_bars():
    cache = BarCache(2)
    for symbol in ("A", "B", "C"):
        cache.put(symbol, cached())
    assert [cache.newest(symbol) is None for symbol in ("A", "B", "C")] == [True, False, False]
    assert BarCache(1_000).most_bars == 5_000
    assert BarCache(10_000).most_bars == 500


def test_bars_make_room_by_their_size_and_what_did_is_counted():
    counters = Counters()
    cache, rows = BarCache(100, 1, counters), 6_000  # a million bytes are 17,857 bars
    for symbol in ("A", "B", "A", "C", "D"):
        cache.put(symbol, cached(symbol, rows=rows if symbol == "C" else 4_000))
    assert [cache.newest(symbol) is None for symbol in "ABCD"] == [False, True, False, False]
    assert counters.count(CACHE_EVICTIONS, "bars").cells[0] == 1
    cache.put("LONG", cached("LONG", rows=20_000))
    assert [symbol for symbol in ("A", "C", "D", "LONG") if cache.newest(symbol)] == ["LONG"]
    assert counters.count(CACHE_EVICTIONS, "bars").cells[0] == 4
    cache.put("A", cached("A"))
    assert cache.newest("LONG") is None
    assert BarCache(100_000, 1).most_bars == 1
