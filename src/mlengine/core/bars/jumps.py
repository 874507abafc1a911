"""Prices that no trade explains: splits that nobody adjusted for, wrong prints, repeated bars."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import numpy as np

from mlengine.core.arrays import Flags, Floats
from mlengine.core.bars.bars import BarArrays
from mlengine.core.timestamps import EPOCH

# Below three to two a split can't be told from news.
_SPLITS = np.log(np.array([1.5, *range(2, 21), 25.0, 30.0, 40.0, 50.0, 100.0]))
# What a price moves overnight beside the split: with more of it, crashes of 2008 look like splits.
_SPLIT_TOLERANCE = 0.04
# With smaller steps and ranges there is nothing to look at, which most windows are soon done with.
_CALM = 1.4
# On the day of a split the price moves as on the days before; after news of this size it does not.
_USUAL_MOVES = 2.5
_SMALLEST_MOVE = 0.01
# Volume the other way, by the medians of so many bars on either side, within this factor.
_BARS_ASIDE = 10
_VOLUME_FACTOR = 2.0
# From one bar to the next, or from open to close, nothing trades twenty times up.
_WRONG = np.log(20.0)
# Nor at a quarter, or four times up, where the bar moves as usual: other shares, or another unit.
# Nor does a high or a low beside all other prices of its bar, and hardly a close that no bar has
# followed yet.
_OTHER_UNIT = np.log(4.0)
# A third of the price overnight and back again within days is no news either.
_REVERTING = np.log(3.0)
_REVERTING_BARS = 5
_REVERTED_SHARE = 0.3
# Of trades at several prices no two bars are the same; a feed that is stuck has but one, and where
# days without trade were filled with the bar before more than a few are the same.
_REPEATED_BARS = 5
_MAX_REPEATED_SHARE, _FEWEST_REPEATED = 0.05, 3
# Half of what a price usually moves lies between the returns of two shares, or of two days; between
# those of one series that was adjusted, or came from another venue, a small part of it.
_UNRELATED_SHARE = 0.5
_FEWEST_IN_COMMON = 20


@dataclass(frozen=True)
class Jump:
    """`ratio` is what the price is multiplied with at the bar of `timestamp`."""

    timestamp: datetime
    kind: Literal["split", "print"]
    ratio: float


def are_calm(windows: Floats) -> Flags:
    """Of windows of bars, (windows, 5, rows): in which `find_jumps` surely finds nothing."""
    prices = windows[:, :4]
    calm = np.asarray(prices.min(axis=(1, 2)) > 0)
    if windows.shape[2] < 2:
        return np.zeros_like(calm)
    opens, highs, lows, closes = np.where(calm[:, None, None], prices, 1.0).swapaxes(0, 1)
    ratios, ranges = opens[:, 1:] / closes[:, :-1], highs / lows
    calm &= (ratios.min(axis=1) > 1 / _CALM) & (ratios.max(axis=1) < _CALM)
    return np.asarray(calm & (ranges.max(axis=1) < _CALM))


def repeat_a_bar(windows: Floats) -> Flags:
    """Of windows of bars, (windows, 5, rows): in which one comes five times in a row.

    Or in which over a twentieth are the one before again. They are the same in all prices and in
    volume, and have a range: bars without trade are alike.
    """
    if windows.shape[2] < _REPEATED_BARS:
        return np.zeros(len(windows), np.bool_)
    _, highs, lows, _, volumes = windows[:, :, 1:].swapaxes(0, 1)
    same = (windows[:, :, 1:] == windows[:, :, :-1]).all(axis=1) & (highs > lows) & (volumes > 0)
    times, last = _REPEATED_BARS - 1, same.shape[1] - _REPEATED_BARS + 2
    repeated = np.logical_and.reduce([same[:, first : first + last] for first in range(times)])
    most = max(_FEWEST_REPEATED - 1, _MAX_REPEATED_SHARE * windows.shape[2])
    return np.asarray(repeated.any(axis=1) | (same.sum(axis=1) > most))


def find_jumps(bars: BarArrays) -> Sequence[Jump]:
    """Those that look like a split, by price, range and volume, and those that look like errors.

    A crash is none: the bar of a crash has a wide range, and volume does not stay at the inverse of
    the ratio. Prices below zero have no ratio.
    """
    prices = bars.values[:4]
    if bars.rows < 2 or prices.min() <= 0:
        return []
    opens, highs, lows, closes = prices
    ratios = opens[1:] / closes[:-1]
    if ratios.min() > 1 / _CALM and ratios.max() < _CALM and (highs / lows).max() < _CALM:
        return []
    gaps = np.log(ratios)
    beside = np.maximum(np.log(highs / np.maximum(opens, closes)),
                        np.log(np.minimum(opens, closes) / lows))  # fmt: skip
    jumps: dict[int, Jump] = {}
    for row in np.flatnonzero(beside >= _OTHER_UNIT):
        jumps[int(row)] = _jump(bars, int(row), "print", float(np.exp(beside[row])))
    moves = np.log(closes / opens)
    wrong = np.abs(moves) >= np.append(np.full(len(gaps), _WRONG), _OTHER_UNIT)
    wrong[:-1] |= (np.abs(moves[:-1]) >= _REVERTING) & _undone(moves[:-1], gaps)
    for row in np.flatnonzero(wrong):
        jumps.setdefault(int(row), _jump(bars, int(row), "print", float(np.exp(moves[row]))))
    for row in np.flatnonzero(np.abs(gaps) >= _SPLITS[0] - _SPLIT_TOLERANCE):
        gap, at = float(gaps[row]), int(row) + 1
        if _is_split(bars, at, gap):
            jumps.setdefault(at, _jump(bars, at, "split", float(np.exp(gap))))
        elif abs(gap) >= _WRONG or _is_other_unit(bars, at, gap) or _reverts(gaps, int(row)):
            jumps.setdefault(at, _jump(bars, at, "print", float(np.exp(gap))))
    return [jumps[row] for row in sorted(jumps)]


def is_another_series(bars: BarArrays, others: BarArrays) -> bool:
    """Whether bars of the same times bear no relation, whatever they are adjusted for.

    By the returns from close to close: half of them are apart by more than half of a usual one.
    """
    at = np.searchsorted(bars.starts, others.starts)
    there = at < bars.rows
    there[there] = bars.starts[at[there]] == others.starts[there]
    ours, theirs = bars.values[3, at[there]], others.values[3, there]
    if len(ours) < _FEWEST_IN_COMMON or min(ours.min(), theirs.min()) <= 0:
        return False
    returns, other_returns = np.diff(np.log(ours)), np.diff(np.log(theirs))
    usual = float(np.median(np.abs(returns)))
    return bool(np.median(np.abs(returns - other_returns)) > _UNRELATED_SHARE * usual > 0)


def _is_split(bars: BarArrays, at: int, gap: float) -> bool:
    """Whether the price of bar `at` begins at one nth or n times, and then moves as usual."""
    near = _SPLITS[np.argmin(np.abs(_SPLITS - abs(gap)))]
    if abs(abs(gap) - near) > _SPLIT_TOLERANCE or not _moves_as_usual(bars, at):
        return False
    volumes = bars.values[4]
    before = volumes[max(0, at - _BARS_ASIDE) : at]
    after = volumes[at : at + _BARS_ASIDE]
    if not (before > 0).any() or not (after > 0).any():
        return True
    change = np.log(np.median(after[after > 0]) / np.median(before[before > 0]))
    return bool(abs(change + np.sign(gap) * near) <= np.log(_VOLUME_FACTOR))


def _is_other_unit(bars: BarArrays, at: int, gap: float) -> bool:
    return abs(gap) >= _OTHER_UNIT - _SPLIT_TOLERANCE and _moves_as_usual(bars, at)


def _moves_as_usual(bars: BarArrays, at: int) -> bool:
    """Whether the range of bar `at` is like those before it."""
    _, highs, lows, _, _ = bars.values
    ranges = np.log(highs[max(0, at - _BARS_ASIDE) : at] / lows[max(0, at - _BARS_ASIDE) : at])
    calm = _USUAL_MOVES * max(float(np.median(ranges)), _SMALLEST_MOVE)
    return bool(np.log(highs[at] / lows[at]) <= calm)


def _undone(moves: Floats, gaps: Floats) -> Flags:
    """Which moves from open to close the gap that follows takes back."""
    return np.asarray(np.abs(moves + gaps) <= _REVERTED_SHARE * np.abs(moves))


def _reverts(gaps: Floats, row: int) -> bool:
    """Whether the price comes back from a jump, or this is how it comes back, within few bars."""
    gap = gaps[row]
    near = gaps[max(0, row - _REVERTING_BARS) : row + _REVERTING_BARS + 1]
    back = np.abs(near + gap) <= _REVERTED_SHARE * abs(gap)
    return bool(abs(gap) >= _REVERTING and back.any())


def _jump(bars: BarArrays, row: int, kind: Literal["split", "print"], ratio: float) -> Jump:
    return Jump(EPOCH + timedelta(microseconds=int(bars.starts[row])), kind, ratio)
