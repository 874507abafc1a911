"""The bars of a symbol in memory beside those that are recorded."""

from dataclasses import replace
from datetime import datetime

from mlengine.stores.bars.cache import CachedBars
from mlengine.stores.bars.stored import StoredBars


def held_bars(stored: StoredBars, cached: CachedBars | None) -> CachedBars:
    """What is recorded; the bars in memory where they are just that."""
    if cached and cached.stored is stored and not cached.outage:
        return cached
    return CachedBars.of(stored)


def kept_in_memory(stored: StoredBars, bars: int, most: int) -> CachedBars:
    """As much of what is recorded as stays in memory: of more than `most` bars, half as many."""
    if not stored.entire_history and stored.held.arrays.rows > most:
        held = stored.held.tail(max(most // 2, 2 * bars))
        stored = replace(stored, held=held, holds_all_recorded=False)
    return CachedBars.of(stored)


def is_good(bars: CachedBars, now: datetime, since: datetime | None) -> bool:
    """Whether the upstream need not be asked: another process has just done so, maybe."""
    return now < bars.expires_at and (since is None or since <= bars.fetched_at)
