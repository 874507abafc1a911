"""What a feature is, and what a feature set is: declarations, and the hash that names them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import polars as pl

from mlengine.core.features.evaluation_order import (
    NewestRowsOrder,
    batches,
    batches_and_drops,
    newest_rows_order,
)

BAR_COLUMNS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One feature: a Polars expression over bars and parts, and what a reader must know of it.

    `bars` counts every bar that the value depends on, the newest included. `formula` is what the
    hash covers, so it names every number of `expr`; `x[n]` in it is x of n bars ago. `low` and
    `high` bound the value (None: unbounded). `source` is the author or the peer that defined it.
    `scale_free` says that the value is a ratio as returns are: all prices times a power of two
    leave every bit of it, and all volumes times one leave it but for rounding. `any_sign` says that
    it has a meaning for prices of any sign, as spreads have: the same amount added to all prices
    changes nothing but rounding.
    """

    name: str
    expr: pl.Expr
    formula: str
    bars: int
    unit: str
    source: str
    doc: str
    low: float | None = None
    high: float | None = None
    scale_free: bool = True
    any_sign: bool = False


@dataclass(frozen=True, kw_only=True)
class FeatureSet:
    """Named, versioned features, each a function of exactly the last `window_bars` bars.

    `parts` are series that several features share (`return`, `close:deviation:20`): named columns
    made of bars and of other parts, evaluated once. A part follows the same window rule.
    Raises ValueError on names that clash, look-backs beyond the window, and circular parts.
    """

    name: str
    version: int
    window_bars: int
    features: tuple[Feature, ...]
    parts: Mapping[str, pl.Expr] = field(default_factory=dict)

    def __post_init__(self) -> None:
        taken = {"symbol", "timestamp", *BAR_COLUMNS, *self.parts}
        for feature in self.features:
            if feature.name in taken:
                raise ValueError(f"feature set {self.name!r} has two columns {feature.name!r}")
            if not 1 <= feature.bars <= self.window_bars:
                raise ValueError(
                    f"{feature.name!r} needs {feature.bars} of {self.window_bars} bars"
                )
            taken.add(feature.name)
        _ = self.column_batches

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)

    @property
    def scale_free_names(self) -> tuple[str, ...]:
        """Of the features that can be watched for drift: an amount of money drifts by nature."""
        return tuple(feature.name for feature in self.features if feature.scale_free)

    @cached_property
    def hash(self) -> str:
        """SHA-256, hex, of name, version, window and each feature's name and formula.

        The declared formula and not `str(expr)`, which hides window sizes; a golden test binds
        formulas to values.
        """
        declared = [[feature.name, feature.formula] for feature in self.features]
        text = json.dumps([self.name, self.version, self.window_bars, declared])
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def column_batches(self) -> tuple[tuple[pl.Expr, ...], ...]:
        """The parts in an order in which each finds the columns that it needs."""
        return batches(self.parts)

    @cached_property
    def column_batches_and_drops(self) -> tuple[tuple[tuple[pl.Expr, ...], tuple[str, ...]], ...]:
        """Parts and features as soon as they can be computed, and which parts then to drop."""
        return batches_and_drops(self._columns, keep=self.names)

    @cached_property
    def newest_rows_order(self) -> NewestRowsOrder:
        """How the features of the newest rows alone are computed."""
        return newest_rows_order(self._columns, {each.name: each.bars for each in self.features})

    @property
    def _columns(self) -> dict[str, pl.Expr]:
        """Parts and features; counts and flags of features as numbers."""
        return {**self.parts, **{each.name: each.expr.cast(pl.Float64) for each in self.features}}

    @cached_property
    def feature_columns(self) -> tuple[pl.Expr, ...]:
        """The features under their names, over bars and parts; counts and flags as numbers."""
        return tuple(feature.expr.cast(pl.Float64).alias(feature.name) for feature in self.features)
