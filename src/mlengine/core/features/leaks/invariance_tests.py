"""What the window rule demands, as pairs of evaluations that must agree to the last bit.

Bars that a value may not depend on are taken away, or replaced by wild ones; bars that it needs
are given alone. Some leaks only show on histories with missing or flat bars, so these run too.
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

from mlengine.core.features.columns_read import reads_ohlcv, reads_symbol
from mlengine.core.features.compute import KEYS, compute, latest
from mlengine.core.features.leaks.corruptions import corrupted_histories
from mlengine.core.features.leaks.perturbations import (
    PERTURBATIONS,
    nulled,
    perturb_before_last,
    scaled_up,
    unchanged,
)
from mlengine.core.features.spec import FeatureSet

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

WINDOWS_AT_ONCE = 256
# At about so many of the cuts, the costlier tests are run too.
COSTLY_CUTS = 4
LONG_BARS = 4_096


@dataclass(frozen=True)
class InvarianceTest:
    """Two evaluations of the rows `keys`, NaN for null; where `compared`, their bits must agree."""

    test: str
    keys: pl.DataFrame
    expected: Matrix
    actual: Matrix
    compared: Mask

    @property
    def mismatches(self) -> Mask:
        """(rows, features): where they don't agree."""
        differ: Mask = self.expected.view(np.uint64) != self.actual.view(np.uint64)
        return differ & self.compared


@dataclass(frozen=True)
class Reference:
    """Histories of one symbol each, oldest first, and the features of all of them together."""

    histories: tuple[pl.DataFrame, ...]
    feature_set: FeatureSet
    full: pl.DataFrame

    @classmethod
    def of(cls, histories: Iterable[pl.DataFrame], feature_set: FeatureSet) -> Reference:
        histories = tuple(histories)
        return cls(histories, feature_set, compute(pl.concat(histories), feature_set))

    def compare(self, test: str, actual: pl.DataFrame) -> InvarianceTest:
        """`actual` against the same rows of the full evaluation, every feature judged."""
        keys = actual.select(KEYS)
        same = self.full.join(keys, on=KEYS, how="semi").sort(KEYS)
        names = self.feature_set.names
        expected, values = matrix(same, names), matrix(actual.sort(KEYS), names)
        return InvarianceTest(
            test, keys.sort(KEYS), expected, values, np.ones(values.shape, dtype=bool)
        )


def invariance_tests(
    histories: Sequence[pl.DataFrame], feature_set: FeatureSet, *, cuts: int
) -> Iterator[InvarianceTest]:
    """Every test of a set on `histories` (one symbol each, oldest first).

    Each row is tested by its window alone; `cuts` moments, and failed ones, in every way.
    """
    reference = Reference.of(histories, feature_set)
    yield reference.compare("repeat", compute(pl.concat(histories), feature_set))
    every = list(every_window(reference))
    blind = np.array([[not reads_symbol(feature_set, f) for f in feature_set.features]], dtype=bool)
    yield from (replace(test, compared=test.compared & blind) for test in every)
    ends = spaced_offsets(max(h.height for h in histories) - feature_set.window_bars, cuts)
    some = ends[:: max(1, len(ends) // COSTLY_CUTS)]
    ends = sorted({*ends, *_first_mismatches(reference, every)})
    yield from prefixes(reference, ends)
    yield from _other_futures(reference, some)
    yield from _windows(reference, [0, *ends])
    yield from _other_pasts(reference, [0, *some])
    yield from _panels(reference)
    longest = max(histories, key=lambda history: history.height)
    one_symbol = Reference.of([longest], feature_set)
    yield from _longer(one_symbol)
    yield from _declared(one_symbol, some)
    for corrupted in corrupted_histories(longest, window_bars=feature_set.window_bars):
        with_gaps = Reference.of([corrupted.bars], feature_set)
        yield from prefixes(with_gaps, corrupted.truncation_offsets())
        yield from _windows(with_gaps, corrupted.window_truncation_offsets(feature_set.window_bars))
    yield _all_missing(longest, feature_set)


def every_window(reference: Reference) -> Iterator[InvarianceTest]:
    """Every row from its own window alone, many windows side by side as symbols of their own.

    What this says of a feature that reads the symbol is a suspicion and no proof.
    """
    feature_set, window = reference.feature_set, reference.feature_set.window_bars
    for history in reference.histories:
        for first in range(0, history.height - window + 1, WINDOWS_AT_ONCE):
            count = min(WINDOWS_AT_ONCE, history.height - window + 1 - first)
            rows = first + np.arange(count)[:, None] + np.arange(window)
            number = pl.int_range(pl.len()) // window
            apart = history[rows.ravel()].with_columns(
                number.cast(pl.String).str.zfill(8).alias("symbol")
            )
            symbol = pl.lit(history["symbol"].item(0)).alias("symbol")
            yield reference.compare("window", latest(apart, feature_set).with_columns(symbol))


def _first_mismatches(reference: Reference, tests: Iterable[InvarianceTest]) -> set[int]:
    """How many bars to cut off for the first row at which each feature went wrong."""
    by_symbol = {h["symbol"].item(0): h for h in reference.histories}
    offsets = set()
    for test in tests:
        for column in np.flatnonzero(test.mismatches.any(axis=0)):
            symbol, timestamp = test.keys.row(int(test.mismatches[:, column].argmax()))
            history = by_symbol[symbol]
            offsets.add(history.filter(pl.col("timestamp") > timestamp).height)
    return offsets


def prefixes(reference: Reference, after: Iterable[int]) -> Iterator[InvarianceTest]:
    """Rows known by then, without the last `after` bars."""
    for offset in after:
        truncated = _truncated(reference.histories, offset)
        yield reference.compare("future", compute(truncated, reference.feature_set))


def _other_futures(reference: Reference, after: Iterable[int]) -> Iterator[InvarianceTest]:
    """The same rows with other bars in the place of the last `after`."""
    for offset, perturb in product(after, PERTURBATIONS):
        truncated = _truncated(reference.histories, offset)
        ahead = [perturb(history.tail(offset)) for history in reference.histories]
        actual = compute(pl.concat([truncated, *ahead]), reference.feature_set)
        yield reference.compare("future", actual.join(truncated, on=KEYS, how="semi"))


def _windows(reference: Reference, after: Iterable[int]) -> Iterator[InvarianceTest]:
    """The newest row by then from the last window alone: of all symbols, and in turn of one."""
    for number, offset in enumerate(after):
        one = reference.histories[number % len(reference.histories)]
        for histories in {len(reference.histories): reference.histories, 1: [one]}.values():
            truncated = _truncated(histories, offset).group_by("symbol", maintain_order=True)
            window = truncated.tail(reference.feature_set.window_bars)
            yield reference.compare("window", latest(window, reference.feature_set))


def _other_pasts(reference: Reference, after: Iterable[int]) -> Iterator[InvarianceTest]:
    """The rows from then on, with other bars in the place of those before the window."""
    for offset, perturb in product(after, PERTURBATIONS):
        unchanged_bars = offset + reference.feature_set.window_bars
        changed = pl.concat(
            perturb_before_last(h, unchanged_bars, perturb) for h in reference.histories
        )
        actual = compute(changed, reference.feature_set).group_by("symbol", maintain_order=True)
        yield reference.compare("window", actual.tail(offset + 1))


def _longer(reference: Reference) -> Iterator[InvarianceTest]:
    """The same rows amid a history as long as those of trainings, made of copies."""
    feature_set, (history,) = reference.feature_set, reference.histories
    span = history["timestamp"].item(-1) - history["timestamp"].item(0) + timedelta(days=1)
    stamp, count = pl.col("timestamp"), math.ceil(LONG_BARS / history.height)
    before = [history.with_columns(stamp - span * back) for back in range(count, 0, -1)]
    after = [history.with_columns(stamp + span * ahead) for ahead in range(1, count + 1)]
    late = compute(pl.concat([*before, history]), feature_set)
    yield reference.compare("window", late.tail(history.height - feature_set.window_bars + 1))
    early = compute(pl.concat([history, *after]), feature_set)
    yield reference.compare("future", early.head(history.height))


def _panels(reference: Reference) -> Iterator[InvarianceTest]:
    """Each symbol alone, and behind a symbol of wild prices."""
    for history in reference.histories:
        yield reference.compare("panel", compute(history, reference.feature_set))
        neighbour = scaled_up(history).with_columns(pl.lit("").alias("symbol"))
        both = compute(pl.concat([neighbour, history]), reference.feature_set)
        yield reference.compare("panel", both.filter(pl.col("symbol") != ""))


def _declared(reference: Reference, after: Iterable[int]) -> Iterator[InvarianceTest]:
    """Raw values of the first rows of a history, judged by the look-back that each declares.

    `compute` hides rows without a full window of the set, so a set of window 1 is evaluated. A
    value from fewer bars than declared must be null, or be the value that all of them give,
    whatever the older ones are.
    """
    feature_set, (history,) = reference.feature_set, reference.histories
    bare = replace(
        feature_set,
        window_bars=1,
        features=tuple(replace(feature, bars=1) for feature in feature_set.features),
    )
    needed = np.array([feature.bars for feature in feature_set.features], dtype=int)
    for offset, perturb in product(after, (unchanged, *PERTURBATIONS)):
        until = history.head(history.height - offset).tail(2 * feature_set.window_bars)
        first = until.tail(feature_set.window_bars - 1)
        whole = Reference.of([perturb_before_last(until, first.height, perturb)], feature_set)
        test = whole.compare("look-back", compute(first, bare))
        bars = np.arange(1, first.height + 1)[:, None]
        enough = bars >= needed
        full_window = until.height - first.height + bars >= feature_set.window_bars
        yield replace(test, compared=enough & full_window)
        partial = ~enough & full_window & ~np.isnan(test.actual)
        yield replace(test, test="partial", compared=partial)


def _all_missing(history: pl.DataFrame, feature_set: FeatureSet) -> InvarianceTest:
    """A window of missing bars: null for each feature that is made of bars."""
    actual = latest(nulled(history.tail(feature_set.window_bars)), feature_set)
    values = matrix(actual, feature_set.names)
    compared = np.array([[reads_ohlcv(feature_set, f) for f in feature_set.features]], dtype=bool)
    return InvarianceTest(
        "missing", actual.select(KEYS), np.full_like(values, np.nan), values, compared
    )


def spaced_offsets(last: int, count: int) -> list[int]:
    """At most about `count` offsets from 1 to `last`: the smallest, and others evenly apart."""
    even = (1 + round(i * (last - 1) / max(count - 1, 1)) for i in range(count))
    return sorted(offset for offset in {1, 2, 3, 5, *even} if 1 <= offset <= last)


def _truncated(histories: Iterable[pl.DataFrame], after: int) -> pl.DataFrame:
    return pl.concat(history.head(max(history.height - after, 0)) for history in histories)


def matrix(frame: pl.DataFrame, names: Sequence[str]) -> Matrix:
    values: Matrix = frame.select(pl.col(names).cast(pl.Float64)).to_numpy()
    return np.ascontiguousarray(values)
