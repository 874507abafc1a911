"""From windows of bars to raw scores: one feature pass and one model call for any number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from mlengine.core.features import latest
from mlengine.errors import InsufficientBars, MlengineError, UpstreamUnavailable
from mlengine.services.bars import BarService
from mlengine.stores.loaded import LoadedModel

Timer = Callable[[], float]


@dataclass(frozen=True)
class Window:
    """The newest bars of a symbol, oldest first, and the milliseconds that fetching took."""

    bars: pl.DataFrame
    milliseconds: float

    @property
    def bar_timestamp(self) -> datetime:
        newest: datetime = self.bars["timestamp"][-1]
        return newest


@dataclass(frozen=True)
class Windows:
    """What was asked for: full windows by symbol, and why the others have none."""

    full: Mapping[str, Window]
    refused: Mapping[str, MlengineError]


@dataclass(frozen=True)
class Scores:
    """By symbol: `vectors` float64 with NaN where undefined, `raw` scores, contributions.

    A row of `contributions` has one number a feature and the expected value last; they sum to
    the raw score before its link function.
    """

    vectors: Mapping[str, np.ndarray]
    raw: Mapping[str, float]
    contributions: Mapping[str, np.ndarray]
    features_ms: float
    model_ms: float


def fetch_windows(
    bars: BarService,
    symbols: Sequence[str],
    *,
    count: int,
    as_of: datetime | None,
    now: datetime,
    timer: Timer,
) -> Windows:
    """The newest `count` bars of each symbol; each refusal stands beside its symbol.

    Once the upstream could not be reached the rest is not asked: a batch of 500 must not wait
    500 times for it.
    """
    full: dict[str, Window] = {}
    refused: dict[str, MlengineError] = {}
    down: UpstreamUnavailable | None = None
    for symbol in symbols:
        started = timer()
        try:
            if down:
                raise down
            frame = bars.history(symbol, bars=count, as_of=as_of, now=now).frame
            if frame.height < count:
                raise InsufficientBars(symbol, needed=count, got=frame.height)
            full[symbol] = Window(frame, (timer() - started) * 1e3)
        except UpstreamUnavailable as error:
            down = refused[symbol] = error
        except MlengineError as error:
            refused[symbol] = error
    return Windows(full, refused)


def score(
    model: LoadedModel, windows: Mapping[str, Window], *, explain: bool, timer: Timer
) -> Scores:
    """Features and scores of each symbol's newest bar."""
    if not windows:
        return Scores({}, {}, {}, 0.0, 0.0)
    started = timer()
    rows = latest(pl.concat(window.bars for window in windows.values()), model.feature_set)
    symbols = rows["symbol"].to_list()
    matrix = rows.select(model.feature_set.names).to_numpy(order="c")
    featured = timer()
    raw = model.scorer.score(matrix)
    parts = model.scorer.contributions(matrix) if explain else np.empty((0, 0))
    return Scores(
        vectors=dict(zip(symbols, matrix, strict=True)),
        raw=dict(zip(symbols, raw.tolist(), strict=True)),
        contributions=dict(zip(symbols, parts, strict=False)),
        features_ms=(featured - started) * 1e3,
        model_ms=(timer() - featured) * 1e3,
    )
