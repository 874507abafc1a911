"""What a feature is, and what a feature set is: declarations, and the hash that names them."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import polars as pl

BAR_COLUMNS = ("open", "high", "low", "close", "volume")
ENOUGH_TO_DROP = 48
ENOUGH_FOR_A_BUNDLE = 40


class FeatureGroup(NamedTuple):
    """Some features and the parts that they need and no earlier bundle has, in stages.

    `droppable` are the parts, of whichever bundle, that no later one needs.
    """

    column_batches: tuple[tuple[pl.Expr, ...], ...]
    features: tuple[str, ...]
    droppable: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One feature: a Polars expression over bars and parts, and what a reader must know of it.

    `bars` counts every bar that the value depends on, the newest included. `formula` is what the
    hash covers, so it names every number of `expr`; `x[n]` in it is x of n bars ago. `low` and
    `high` bound the value (None: unbounded). `source` is the author or the peer that defined it.
    `scale_free` says that the value is a ratio as returns are: all prices times a power of two
    leave every bit of it.
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
        """The parts in an order in which each finds the columns that it needs.

        Shallow stages of named columns, since Polars' planner takes time with the square of an
        expression's depth: 200 ms for six deviations written as single expressions.
        """
        return tuple(map(_aliased, _staged(self.parts)))

    @cached_property
    def column_batches_with_drops(self) -> tuple[tuple[tuple[pl.Expr, ...], tuple[str, ...]], ...]:
        """Parts and features as soon as they can be made, and which parts may then be dropped."""
        staged = _staged(self._columns)
        return tuple(zip(map(_aliased, staged), _gathered(self._spent(staged)), strict=True))

    @cached_property
    def feature_groups(self) -> tuple[FeatureGroup, ...]:
        """All features, some after the others, so that few columns are held at a time."""
        bundled = list(_bundled(self._columns, self.names))
        return tuple(
            FeatureGroup(
                tuple(map(_aliased, _staged(bundle))),
                tuple(name for name in bundle if name not in self.parts),
                spent,
            )
            for bundle, spent in zip(bundled, self._spent(bundled), strict=True)
        )

    @property
    def _columns(self) -> dict[str, pl.Expr]:
        """Parts and features; counts and flags of features as numbers."""
        return {**self.parts, **{each.name: each.expr.cast(pl.Float64) for each in self.features}}

    def _spent(self, steps: Sequence[Mapping[str, pl.Expr]]) -> list[tuple[str, ...]]:
        """The parts that each step is the last to make or to need."""
        spent, needed = [], set(self.names)
        for step in reversed(steps):
            here = {*step, *(name for expr in step.values() for name in _needs(expr))}
            spent.append(tuple(sorted((here & self.parts.keys()) - needed)))
            needed |= here
        return spent[::-1]

    @cached_property
    def feature_columns(self) -> tuple[pl.Expr, ...]:
        """The features under their names, over bars and parts; counts and flags as numbers."""
        return tuple(feature.expr.cast(pl.Float64).alias(feature.name) for feature in self.features)


def _staged(columns: Mapping[str, pl.Expr]) -> list[dict[str, pl.Expr]]:
    """Columns in stages, each of which finds what it needs; raises ValueError on a circle."""
    waiting, stages = dict(columns), []
    while waiting:
        ready = [name for name, expr in waiting.items() if not _needs(expr) & waiting.keys()]
        if not ready:
            raise ValueError(f"parts need each other: {', '.join(sorted(waiting))}")
        stages.append({name: waiting.pop(name) for name in ready})
    return stages


def _aliased(stage: Mapping[str, pl.Expr]) -> tuple[pl.Expr, ...]:
    return tuple(expr.alias(name) for name, expr in stage.items())


def _bundled(columns: Mapping[str, pl.Expr], names: Sequence[str]) -> Iterator[dict[str, pl.Expr]]:
    """`names` in their order with what they need of `columns`, each column once."""
    added, bundle = set[str](), dict[str, pl.Expr]()
    for name in names:
        waiting = [name]
        while waiting:
            column = waiting.pop()
            if column in columns and column not in added:
                added.add(column)
                bundle[column] = columns[column]
                waiting += sorted(_needs(columns[column]))
        if len(bundle) >= ENOUGH_FOR_A_BUNDLE:
            yield bundle
            bundle = {}
    if bundle:
        yield bundle


def _gathered(spent: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The same names in fewer, larger drops: a planner takes time for each."""
    gathered, pending = [], list[str]()
    for names in spent:
        pending += names
        gathered.append(tuple(pending) if len(pending) >= ENOUGH_TO_DROP else ())
        pending = [] if gathered[-1] else pending
    return gathered


def _needs(part: pl.Expr) -> set[str]:
    return set(part.meta.root_names())
