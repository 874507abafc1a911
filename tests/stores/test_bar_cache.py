from datetime import UTC, datetime, timedelta

from tests.factories import random_bars

from mlengine.core.bars import BarsReport, CleanBars
from mlengine.stores.bar_cache import BarCache, HeldBars

NOW = datetime(2024, 6, 1, tzinfo=UTC)


def held(symbol: str = "AAA") -> HeldBars:
    clean = CleanBars(random_bars(symbol, rows=2), BarsReport(2, {}, {}))
    return HeldBars(clean, asked_at=NOW, whole=False)


def test_an_answer_is_good_for_its_time_and_never_before_it():
    cache = BarCache()
    cache.put("AAA", held())
    assert cache.get("AAA", now=NOW, within_seconds=5) is not None
    assert cache.get("AAA", now=NOW + timedelta(seconds=4.9), within_seconds=5) is not None
    assert cache.get("AAA", now=NOW + timedelta(seconds=5), within_seconds=5) is None
    assert cache.get("AAA", now=NOW - timedelta(seconds=1), within_seconds=5) is None
    assert cache.get("AAA", now=NOW, within_seconds=0) is None
    assert cache.get("BBB", now=NOW, within_seconds=5) is None


def test_the_symbol_put_longest_ago_makes_room():
    cache, one = BarCache(), held()
    for number in range(1000):
        cache.put(f"S{number}", one)
    cache.put("S0", one)
    cache.put("NEW", one)
    assert cache.get("S1", now=NOW, within_seconds=5) is None
    assert cache.get("S0", now=NOW, within_seconds=5) is one
    assert cache.get("NEW", now=NOW, within_seconds=5) is one
