"""The labels of recorded bars, as trainings make them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from mlengine.core.bars.bars import BarArrays, frame_of
from mlengine.core.outcomes.outcome import LabelTerms
from mlengine.core.training.dataset import last_returns, only_members
from mlengine.core.training.labels import cross_sectional_zscore, label_expr, label_rows

_KEYS = ["symbol", "timestamp"]


@dataclass(frozen=True)
class Label:
    """`is_final` is false while further symbols of the date may change it."""

    label: float
    forward_return: float
    last_return: float | None
    ends: datetime
    is_final: bool = True


def labels_of(
    bars: Sequence[BarArrays], terms: LabelTerms, *, members: pl.DataFrame | None = None
) -> Mapping[tuple[str, datetime], Label]:
    """By symbol and bar, of every bar whose label is known.

    Where a label says how far a symbol is ahead of the others, `bars` are those of all symbols of
    the version, `members` who belonged to them when, and a label is final once each symbol with a
    bar on its date has one.
    """
    frame = frame_of(bars)
    rows = label_rows(frame, horizon_bars=terms.horizon_bars, delay_bars=terms.delay_bars)
    rows = rows.with_columns(label_expr(terms.objective).alias("label"))
    if terms.transform == "cs_zscore":
        rows = _among_others(frame, rows, members)
    else:
        rows = rows.with_columns(pl.lit(value=True).alias("final"))
    rows = rows.join(last_returns(frame), on=_KEYS, how="left")
    columns = ("label", "forward_return", "last_return", "label_ends", "final")
    return {
        (symbol, timestamp): Label(*values)
        for symbol, timestamp, *values in rows.select(*_KEYS, *columns).iter_rows()
    }


def _among_others(
    frame: pl.DataFrame, rows: pl.DataFrame, members: pl.DataFrame | None
) -> pl.DataFrame:
    keys = frame.select(_KEYS)
    if members is not None:
        keys, rows = only_members(keys, members), only_members(rows, members)
    expected = keys.group_by("timestamp").len("expected")
    scored = cross_sectional_zscore(rows).join(expected, on="timestamp", how="left")
    return scored.with_columns((pl.len().over("timestamp") >= pl.col("expected")).alias("final"))
