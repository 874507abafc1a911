import numpy as np
import pytest

from mlengine.core.telemetry.families import CACHE_EVICTIONS
from mlengine.stores.features.vector_cache import FeatureVectorCache
from mlengine.stores.telemetry.counters import Counters


def test_a_row_is_found_under_its_bars_and_its_set_and_can_not_be_changed():
    cache = FeatureVectorCache()
    cache.put(("bars", "set"), np.array([1.0, np.nan]))
    found = cache.get(("bars", "set"))
    assert found is not None
    assert found[0] == 1.0
    assert cache.get(("bars", "other")) is None
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 2.0


def test_the_row_put_longest_ago_makes_room():
    cache = FeatureVectorCache(most_rows=2)
    for name in "abc":
        cache.put((name, "set"), np.zeros(1))
    assert cache.get(("a", "set")) is None
    assert cache.get(("c", "set")) is not None


def test_there_is_room_for_the_rows_of_all_symbols_and_what_made_room_is_counted():
    counters = Counters()
    cache = FeatureVectorCache.for_symbols(5_000, counters)
    for number in range(20_001):
        cache.put((str(number), "set"), np.zeros(1))
    assert len(cache) == 20_000
    assert counters.count(CACHE_EVICTIONS, "rows").cells[0] == 1
