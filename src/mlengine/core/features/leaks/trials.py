"""What the window rule demands, as pairs of evaluations that must agree to the last bit.

Bars that a value may not depend on are taken away, or replaced by wild ones; bars that it needs
are given alone. Some leaks only show where bars are missing or flat, so that the trials are also
held on histories with blemishes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import product

import numpy as np
import numpy.typing as npt
import polars as pl

from mlengine.core.features.compute import KEYS, compute, latest
from mlengine.core.features.leaks.columns_read import needs_bars, reads_symbol
from mlengine.core.features.leaks.corruptions import blemished
from mlengine.core.features.leaks.perturbations import (
    OTHER_BARS,
    as_they_are,
    blank,
    spoilt_before,
    wild,
)
from mlengine.core.features.spec import FeatureSet

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

WINDOWS_AT_ONCE = 256
# At about so many of the cuts, the costlier trials are held too.
SOME = 4
LONG_BARS = 4_096


@dataclass(frozen=True)
class Trial:
    """Two evaluations of the rows `keys`, NaN for null; where `judged`, their bits must agree."""

    test: str
    keys: pl.DataFrame
    expected: Matrix
    made: Matrix
    judged: Mask

    @property
    def wrong(self) -> Mask:
        """(rows, features): where they don't agree."""
        differ: Mask = self.expected.view(np.uint64) != self.made.view(np.uint64)
        return differ & self.judged


@dataclass(frozen=True)
class _Subject:
    """Histories of one symbol each, oldest first, and the features of all of them together."""

    histories: tuple[pl.DataFrame, ...]
    feature_set: FeatureSet
    full: pl.DataFrame

    @classmethod
    def of(cls, histories: Iterable[pl.DataFrame], feature_set: FeatureSet) -> _Subject:
        held = tuple(histories)
        return cls(held, feature_set, compute(pl.concat(held), feature_set))

    def trial(self, test: str, made: pl.DataFrame) -> Trial:
        """`made` against the same rows of the full evaluation, every feature judged."""
        keys = made.select(KEYS)
        same = self.full.join(keys, on=KEYS, how="semi").sort(KEYS)
        names = self.feature_set.names
        expected, found = _matrix(same, names), _matrix(made.sort(KEYS), names)
        return Trial(test, keys.sort(KEYS), expected, found, np.ones(found.shape, dtype=bool))


def trials(
    histories: Sequence[pl.DataFrame], feature_set: FeatureSet, *, cuts: int
) -> Iterator[Trial]:
    """Every trial of a set on `histories` (one symbol each, oldest first).

    Each row is tried by its window alone; about `cuts` moments, and those at which that went
    wrong, in every other way.
    """
    subject = _Subject.of(histories, feature_set)
    yield subject.trial("repeat", compute(pl.concat(histories), feature_set))
    every = list(_every_window(subject))
    blind = np.array([[not reads_symbol(feature_set, f) for f in feature_set.features]], dtype=bool)
    yield from (replace(trial, judged=trial.judged & blind) for trial in every)
    ends = _spread(max(h.height for h in histories) - feature_set.window_bars, cuts)
    some = ends[:: max(1, len(ends) // SOME)]
    ends = sorted({*ends, *_suspicious(subject, every)})
    yield from _prefixes(subject, ends)
    yield from _other_futures(subject, some)
    yield from _windows(subject, [0, *ends])
    yield from _other_pasts(subject, [0, *some])
    yield from _panels(subject)
    longest = max(histories, key=lambda history: history.height)
    alone = _Subject.of([longest], feature_set)
    yield from _longer(alone)
    yield from _declared(alone, some)
    for blemish in blemished(longest, window_bars=feature_set.window_bars):
        flawed = _Subject.of([blemish.bars], feature_set)
        yield from _prefixes(flawed, blemish.cuts())
        yield from _windows(flawed, blemish.ends(feature_set.window_bars))
    yield _nothing_known(longest, feature_set)


def _every_window(subject: _Subject) -> Iterator[Trial]:
    """Every row from its own window alone, many windows side by side as symbols of their own.

    What this says of a feature that reads the symbol is a suspicion and no proof.
    """
    feature_set, window = subject.feature_set, subject.feature_set.window_bars
    for history in subject.histories:
        for first in range(0, history.height - window + 1, WINDOWS_AT_ONCE):
            count = min(WINDOWS_AT_ONCE, history.height - window + 1 - first)
            rows = first + np.arange(count)[:, None] + np.arange(window)
            number = pl.int_range(pl.len()) // window
            apart = history[rows.ravel()].with_columns(
                number.cast(pl.String).str.zfill(8).alias("symbol")
            )
            symbol = pl.lit(history["symbol"].item(0)).alias("symbol")
            yield subject.trial("window", latest(apart, feature_set).with_columns(symbol))


def _suspicious(subject: _Subject, found: Iterable[Trial]) -> set[int]:
    """How many bars to cut off for the first row at which each feature went wrong."""
    by_symbol = {h["symbol"].item(0): h for h in subject.histories}
    offsets = set()
    for trial in found:
        for column in np.flatnonzero(trial.wrong.any(axis=0)):
            symbol, timestamp = trial.keys.row(int(trial.wrong[:, column].argmax()))
            history = by_symbol[symbol]
            offsets.add(history.filter(pl.col("timestamp") > timestamp).height)
    return offsets


def _prefixes(subject: _Subject, after: Iterable[int]) -> Iterator[Trial]:
    """Rows known by then, without the last `after` bars."""
    for offset in after:
        known = _cut(subject.histories, offset)
        yield subject.trial("future", compute(known, subject.feature_set))


def _other_futures(subject: _Subject, after: Iterable[int]) -> Iterator[Trial]:
    """The same rows with other bars in the place of the last `after`."""
    for offset, spoil in product(after, OTHER_BARS):
        known = _cut(subject.histories, offset)
        ahead = [spoil(history.tail(offset)) for history in subject.histories]
        made = compute(pl.concat([known, *ahead]), subject.feature_set)
        yield subject.trial("future", made.join(known, on=KEYS, how="semi"))


def _windows(subject: _Subject, after: Iterable[int]) -> Iterator[Trial]:
    """The newest row by then from the last window alone: of all symbols, and in turn of one."""
    for number, offset in enumerate(after):
        one = subject.histories[number % len(subject.histories)]
        for histories in {len(subject.histories): subject.histories, 1: [one]}.values():
            known = _cut(histories, offset).group_by("symbol", maintain_order=True)
            window = known.tail(subject.feature_set.window_bars)
            yield subject.trial("window", latest(window, subject.feature_set))


def _other_pasts(subject: _Subject, after: Iterable[int]) -> Iterator[Trial]:
    """The rows from then on, with other bars in the place of those before the window."""
    for offset, spoil in product(after, OTHER_BARS):
        kept = offset + subject.feature_set.window_bars
        changed = pl.concat(spoilt_before(h, kept, spoil) for h in subject.histories)
        made = compute(changed, subject.feature_set).group_by("symbol", maintain_order=True)
        yield subject.trial("window", made.tail(offset + 1))


def _longer(subject: _Subject) -> Iterator[Trial]:
    """The same rows amid a history as long as those of trainings, made of copies."""
    feature_set, (history,) = subject.feature_set, subject.histories
    span = history["timestamp"].item(-1) - history["timestamp"].item(0) + timedelta(days=1)
    stamp, count = pl.col("timestamp"), math.ceil(LONG_BARS / history.height)
    before = [history.with_columns(stamp - span * back) for back in range(count, 0, -1)]
    after = [history.with_columns(stamp + span * ahead) for ahead in range(1, count + 1)]
    late = compute(pl.concat([*before, history]), feature_set)
    yield subject.trial("window", late.tail(history.height - feature_set.window_bars + 1))
    early = compute(pl.concat([history, *after]), feature_set)
    yield subject.trial("future", early.head(history.height))


def _panels(subject: _Subject) -> Iterator[Trial]:
    """Each symbol alone, and behind a symbol of wild prices."""
    for history in subject.histories:
        yield subject.trial("panel", compute(history, subject.feature_set))
        neighbour = wild(history).with_columns(pl.lit("").alias("symbol"))
        both = compute(pl.concat([neighbour, history]), subject.feature_set)
        yield subject.trial("panel", both.filter(pl.col("symbol") != ""))


def _declared(subject: _Subject, after: Iterable[int]) -> Iterator[Trial]:
    """Raw values of the first rows of a history, judged by the look-back that each declares.

    `compute` hides rows without a full window of the set, so a set of window 1 is evaluated. A
    value from fewer bars than declared must be null, or be the value that all of them give,
    whatever the older ones are.
    """
    feature_set, (history,) = subject.feature_set, subject.histories
    bare = replace(
        feature_set,
        window_bars=1,
        features=tuple(replace(feature, bars=1) for feature in feature_set.features),
    )
    needed = np.array([feature.bars for feature in feature_set.features], dtype=int)
    for offset, spoil in product(after, (as_they_are, *OTHER_BARS)):
        until = history.head(history.height - offset).tail(2 * feature_set.window_bars)
        first = until.tail(feature_set.window_bars - 1)
        whole = _Subject.of([spoilt_before(until, first.height, spoil)], feature_set)
        trial = whole.trial("look-back", compute(first, bare))
        held = np.arange(1, first.height + 1)[:, None]
        enough = held >= needed
        known = until.height - first.height + held >= feature_set.window_bars
        yield replace(trial, judged=enough & known)
        partial = ~enough & known & ~np.isnan(trial.made)
        yield replace(trial, test="partial", judged=partial)


def _nothing_known(history: pl.DataFrame, feature_set: FeatureSet) -> Trial:
    """A window of missing bars: null for each feature that is made of bars."""
    made = latest(blank(history.tail(feature_set.window_bars)), feature_set)
    values = _matrix(made, feature_set.names)
    judged = np.array([[needs_bars(feature_set, f) for f in feature_set.features]], dtype=bool)
    return Trial("missing", made.select(KEYS), np.full_like(values, np.nan), values, judged)


def _spread(last: int, count: int) -> list[int]:
    """At most about `count` offsets from 1 to `last`: the smallest, and others evenly apart."""
    even = (1 + round(i * (last - 1) / max(count - 1, 1)) for i in range(count))
    return sorted(offset for offset in {1, 2, 3, 5, *even} if 1 <= offset <= last)


def _cut(histories: Iterable[pl.DataFrame], after: int) -> pl.DataFrame:
    return pl.concat(history.head(max(history.height - after, 0)) for history in histories)


def _matrix(frame: pl.DataFrame, names: Sequence[str]) -> Matrix:
    values: Matrix = frame.select(pl.col(names).cast(pl.Float64)).to_numpy()
    return np.ascontiguousarray(values)
