from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from mlengine.core.bars.bars import VALUES, BarArrays
from mlengine.core.bars.recorded import NOTHING_HELD, BarsDiff, KnownBars
from mlengine.core.bars.recorded_panel import UpstreamAnswer, diffs

DAY = 86_400_000_000


def bars(first: int, end: int, *, scale: float = 1.0) -> BarArrays:
    """Those of the days from `first` to `end`, each known a day after its start."""
    days = np.arange(first, end, dtype="<i8")
    values = scale * (days + np.arange(len(VALUES))[:, None])
    return BarArrays("AAA", days * DAY, values.astype("<f8"), (days + 1) * DAY)


def answered(held: KnownBars, answer: BarArrays) -> BarsDiff:
    seen_at = int(answer.known_at[-1]) + 1
    (diff,) = diffs([UpstreamAnswer(held, answer, seen_at=seen_at, asked_from=0, known_from=None)])
    return diff


def columns(known: KnownBars) -> np.ndarray:
    arrays = known.arrays
    return np.vstack([arrays.starts, arrays.values, arrays.known_at, known.first_seen])


@pytest.fixture
def held() -> KnownBars:
    """Of twenty days, of which the last came by itself."""
    return answered(answered(NOTHING_HELD, bars(0, 19)).after, bars(15, 20)).after


def test_bars_that_come_one_by_one_are_held_as_they_came(held):
    read_before = []
    for day in range(20, 90):
        read_before.append((held, columns(held).copy()))
        diff = answered(held, bars(day - 4, day + 1))
        held = diff.after
        assert (diff.new, diff.revised, diff.rows.starts.tolist()) == (1, 0, [day * DAY])
    assert np.array_equal(held.arrays.starts, bars(0, 90).starts)
    assert np.array_equal(held.arrays.values, bars(0, 90).values)
    seen_at = bars(0, 90).known_at + 1
    assert np.array_equal(held.arrays.known_at[19:], seen_at[19:]), "known from when it was seen"
    assert np.array_equal(held.first_seen[19:], seen_at[19:])
    assert all(np.array_equal(columns(known), copied) for known, copied in read_before)


def test_a_long_series_is_copied_for_few_of_its_new_bars(held):
    copies = 0
    for day in range(20, 120):
        followed = answered(held, bars(day - 4, day + 1)).after
        copies += not np.shares_memory(held.arrays.values, followed.arrays.values)
        held = followed
    assert copies < 10


def test_who_follows_the_same_bars_later_changes_none_that_were_followed_before(held):
    first = answered(held, bars(20, 22)).after
    second = answered(held, bars(20, 23, scale=2.0)).after
    further = answered(first, bars(22, 23, scale=3.0)).after
    assert np.array_equal(first.arrays.values[:, 20:], bars(20, 22).values)
    assert np.array_equal(second.arrays.values[:, 20:], bars(20, 23, scale=2.0).values)
    assert np.array_equal(further.arrays.values[:, 22:], bars(22, 23, scale=3.0).values)
    assert np.array_equal(further.arrays.values[:, :22], first.arrays.values)


def test_threads_that_follow_the_same_bars_at_once_do_not_meet(held):
    def follow(number: int) -> bool:
        answer = bars(20, 25, scale=float(number + 2))
        after = answered(held, answer).after
        return np.array_equal(after.arrays.values[:, 20:], answer.values)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(follow, range(64)))


def test_the_last_bars_alone_are_followed_without_the_others(held):
    tail = held.tail(5)
    after = answered(tail, bars(20, 21)).after
    assert after.arrays.starts.tolist() == bars(15, 21).starts.tolist()
    assert np.array_equal(answered(held, bars(20, 22)).after.arrays.values, bars(0, 22).values)


def test_first_bars_keep_nothing_of_other_symbols_alive():
    other = replace(bars(0, 500), symbol="BBB")
    asked = [
        UpstreamAnswer(NOTHING_HELD, each, seen_at=900 * DAY, asked_from=0, known_from=None)
        for each in (bars(0, 3), other)
    ]
    after = diffs(asked)[0].after
    assert after.arrays.known_at.base is None
    assert after.first_seen.base is None
    assert after.arrays.known_at.tolist() == bars(0, 3).known_at.tolist()
    assert after.first_seen.tolist() == [900 * DAY] * 3
