"""Feature rows that this process has computed, each under the bars and the set it is made of."""

from __future__ import annotations

import threading
from collections import OrderedDict

from mlengine.core.arrays import Floats
from mlengine.core.telemetry.families import CACHE_EVICTIONS, CACHE_LOOKUPS
from mlengine.stores.telemetry.counters import Counters

_MOST_ROWS = 10_000
# Of a symbol: those of some lines, and of its last bar as well.
_ROWS_PER_SYMBOL = 4

RowKey = tuple[str, str]


class FeatureVectorCache:
    """(bars hash, feature set hash) to a row; safe to use from many threads, bounded.

    A row is a function of its key, so it never goes out of date; it makes room.
    """

    def __init__(self, most_rows: int = _MOST_ROWS, counters: Counters | None = None) -> None:
        self._counters = counters or Counters()
        self._most_rows = most_rows
        self._rows: OrderedDict[RowKey, Floats] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def for_symbols(cls, symbols: int, counters: Counters | None = None) -> FeatureVectorCache:
        """With room for the rows of so many."""
        return cls(max(_MOST_ROWS, _ROWS_PER_SYMBOL * symbols), counters)

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: RowKey) -> Floats | None:
        """float64, (features,), NaN where undefined, not to be written to."""
        return self._rows.get(key)

    def count_lookups(self, *, hits: int, misses: int) -> None:
        """What was found of a request that goes on to be answered."""
        for result, count in (("hit", hits), ("miss", misses)):
            if count:
                self._counters.count(CACHE_LOOKUPS, result).add(count)

    def put(self, key: RowKey, row: Floats) -> None:
        """Keep `row`; the one that was put longest ago makes room."""
        row.flags.writeable = False
        with self._lock:
            self._rows[key] = row
            if len(self._rows) > self._most_rows:
                self._rows.popitem(last=False)
                self._counters.count(CACHE_EVICTIONS, "rows").add()
