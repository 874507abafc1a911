from datetime import UTC, datetime, timedelta

from tests.factories import START, random_bars

from mlengine.core.bars.bars import BarsReport, JudgedBars, columns_of, frame_of
from mlengine.stores.bars.cache import BarCache, CachedBars

NOW = datetime(2024, 6, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def held(symbol: str = "AAA", *, rows: int = 2) -> CachedBars:
    clean = JudgedBars(columns_of(random_bars(symbol, rows=rows)), BarsReport(rows, {}, {}))
    return CachedBars(clean, asked_at=NOW, good_until=NOW + 5 * SECOND, whole=False)


def test_an_answer_is_good_for_its_time_and_never_before_it():
    cache = BarCache()
    cache.put("AAA", held())
    assert cache.get("AAA", now=NOW) is not None
    assert cache.get("AAA", now=NOW + 4.9 * SECOND) is not None
    assert cache.get("AAA", now=NOW + 5 * SECOND) is None
    assert cache.get("AAA", now=NOW - SECOND) is None
    assert cache.get("BBB", now=NOW) is None


def test_the_symbol_put_longest_ago_makes_room():
    cache, one = BarCache(), held()
    for number in range(1000):
        cache.put(f"S{number}", one)
    cache.put("S0", one)
    cache.put("NEW", one)
    assert cache.get("S1", now=NOW) is None
    assert cache.get("S0", now=NOW) is one
    assert cache.get("NEW", now=NOW) is one


def test_what_was_asked_for_later_is_known():
    cache = BarCache()
    cache.put("AAA", held())
    assert cache.asked_after(NOW - SECOND, "AAA")
    assert not cache.asked_after(NOW, "AAA")
    assert not cache.asked_after(NOW - SECOND, "BBB")


def test_windows_are_kept_by_what_they_hold_up_to_a_bound():
    bars = held(rows=100)
    assert bars.window(100, 64) is bars.window(100, 64)
    assert bars.window(99, 64).bar_timestamp < bars.window(100, 64).bar_timestamp
    assert bars.window(100, 20).bars_hash != bars.window(100, 64).bars_hash
    for end in range(64, 101):
        known = frame_of([bars.window(end, 64).bars])
        assert known.equals(bars.clean.frame.slice(end - 64, 64))


def test_behind_are_those_in_use_that_have_not_got_a_new_bar():
    cache, later = BarCache(), NOW + timedelta(days=1)
    for symbol in ("AAA", "BBB", "CCC"):
        cache.put(symbol, held(symbol))
    cache.put("NEW", held("NEW", rows=3))
    for symbol in ("AAA", "BBB", "NEW", "NONE"):
        cache.use(symbol)
    third = held(rows=3).last_bar
    assert third == START + timedelta(days=2)
    assert cache.behind(third, now=NOW) == [], "what is good needs no asking"
    assert cache.behind(third, now=later) == ["AAA", "BBB"]
    assert cache.last_bar("AAA") == START + timedelta(days=1)
    assert cache.last_bar("NONE") is None


def test_a_symbol_is_in_use_for_three_new_bars_after_it_was_asked_for():
    cache, later = BarCache(), NOW + timedelta(days=1)
    for symbol in ("AAA", "BBB"):
        cache.put(symbol, held(symbol))
        cache.use(symbol)
    found = []
    for day in range(2, 6):
        bar = START + timedelta(days=day)
        cache.use("AAA")
        assert cache.behind(bar, now=later) == cache.behind(bar, now=later), "told twice"
        found.append(cache.behind(bar, now=later))
    assert found == [["AAA", "BBB"]] * 3 + [["AAA"]]
