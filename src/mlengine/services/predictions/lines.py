"""Predictions of several model lines, all of one window of bars a symbol."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mlengine.core.bars.bars import BarArrays
from mlengine.errors import DatabaseUnavailable, InsufficientBars, MlengineError
from mlengine.services.bars.windows import (
    FetchedWindows,
    FetchPool,
    WindowFetcher,
    fetch_windows,
)
from mlengine.services.predictions.prediction_builder import PredictionBatch, PredictionRequest
from mlengine.services.predictions.service import PredictService


@dataclass
class SharedWindows:
    """The windows of the line that needs most bars; those of the others are their newest bars.

    A narrower window is the one that its line has when it is asked alone, where that is in memory
    and holds the same bars.
    """

    widest: int
    _fetched: FetchedWindows | None = None

    def __call__(
        self, fetch: WindowFetcher, symbols: Sequence[str], pool: FetchPool, *, wait: bool = True
    ) -> FetchedWindows | None:
        """As `fetch_windows`, which is asked once for all lines."""
        if fetch.count > self.widest:  # of a model that was activated just now
            return fetch_windows(fetch, symbols, pool, wait=wait)
        if self._fetched is None:
            wide = replace(fetch, count=self.widest, milliseconds={}, origins={})
            self._fetched = fetch_windows(wide, symbols, pool, wait=wait)
        fetched = self._fetched
        if fetched is None or fetch.count == self.widest:
            return fetched
        complete = _newest_bars(fetched.complete, fetch)
        return self._with_shorter_series(replace(fetched, complete=complete), fetch, pool)

    def _with_shorter_series(
        self, fetched: FetchedWindows, fetch: WindowFetcher, pool: FetchPool
    ) -> FetchedWindows:
        """With the symbols that have enough bars for this line, and not for the widest window."""
        refused = fetched.refused
        short = [name for name, why in refused.items() if isinstance(why, InsufficientBars)]
        again = fetch_windows(fetch, short, pool) if short else None
        if again is None:
            return fetched
        others = {name: why for name, why in refused.items() if name not in short}
        return replace(
            fetched,
            complete={**fetched.complete, **again.complete},
            refused={**others, **again.refused},
            milliseconds={**fetched.milliseconds, **again.milliseconds},
            origins={**fetched.origins, **again.origins},
        )


def predict_lines(
    lines: Mapping[str, PredictService], symbols: Sequence[str], request: PredictionRequest
) -> dict[str, PredictionBatch | MlengineError]:
    """By line: its answers in the order of `symbols`, or why it has none.

    What one line has none for leaves the others alone. Each line's answers are one transaction;
    raises DatabaseUnavailable where they can't be audited.
    """
    widest = _widest_windows(list(lines.values()))
    shared = {bars: SharedWindows(count) for bars, count in widest.items()}
    answers: dict[str, PredictionBatch | MlengineError] = {}
    for name, line in lines.items():
        windows_of = shared.get(id(line.bars), fetch_windows)
        try:
            answers[name] = line.predict_batch(symbols, request, windows_of=windows_of)
        except DatabaseUnavailable:
            raise
        except MlengineError as refusal:
            answers[name] = refusal
    return answers


def _widest_windows(lines: Sequence[PredictService]) -> dict[int, int]:
    """How many bars the lines need at most, by the identity of where these come from."""
    widest: dict[int, int] = {}
    for line in lines:
        try:
            count = line.loader.active().feature_set.window_bars
        except MlengineError:  # it says so when it is asked
            continue
        widest[id(line.bars)] = max(count, widest.get(id(line.bars), 0))
    return widest


def _newest_bars(wide: Mapping[str, BarArrays], fetch: WindowFetcher) -> dict[str, BarArrays]:
    at_hand = fetch.cached(list(wide))
    return {
        symbol: _narrowed(bars, at_hand.get(symbol), fetch.count) for symbol, bars in wide.items()
    }


def _narrowed(wide: BarArrays, at_hand: BarArrays | None, count: int) -> BarArrays:
    narrow = wide.slice(wide.rows - count, wide.rows)
    if at_hand is not None and _are_same(narrow, at_hand):
        return at_hand
    return replace(narrow, suspect_reasons=wide.suspect_reasons)


def _are_same(one: BarArrays, other: BarArrays) -> bool:
    return np.array_equal(one.starts, other.starts) and np.array_equal(
        one.values, other.values, equal_nan=True
    )
