import numpy as np
import pytest

from mlengine.stores.features.vector_cache import FeatureVectorCache


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
