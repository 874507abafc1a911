"""What a feature is, and what a feature set is: declarations, and the hash that names them."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import polars as pl

BAR_COLUMNS = ("open", "high", "low", "close", "volume")
COLUMNS_PER_DROP = 48
COLUMNS_PER_GROUP = 40
# So many bars fewer are worth a group of their own, and a copy of what it needs.
FEWER_BARS = 16


class EvaluationGroup(NamedTuple):
    """Some features and the parts that they need and no earlier group has, in batches.

    None of the features depends on more than `bars` bars. `droppable` are the parts, of whichever
    group, that no later one needs.
    """

    bars: int
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
        """The parts in an order in which each finds the columns that it needs.

        Shallow batches of named columns, since Polars' planner takes time with the square of an
        expression's depth: 200 ms for six deviations written as single expressions.
        """
        return tuple(map(_alias_all, _dependency_batches(self.parts)))

    @cached_property
    def column_batches_and_drops(self) -> tuple[tuple[tuple[pl.Expr, ...], tuple[str, ...]], ...]:
        """Parts and features as soon as they can be computed, and which parts then to drop."""
        batches = _dependency_batches(self._columns)
        return tuple(
            zip(map(_alias_all, batches), _merge_drops(self._droppable(batches)), strict=True)
        )

    @cached_property
    def evaluation_groups(self) -> tuple[EvaluationGroup, ...]:
        """All features, some after the others, so that few columns are held at a time.

        Those that look back furthest come first: the later ones need fewer rows.
        """
        bars = {each.name: each.bars for each in self.features}
        groups = list(_group_columns(self._columns, bars))
        return tuple(
            EvaluationGroup(
                max(bars[name] for name in group if name in bars),
                tuple(map(_alias_all, _dependency_batches(group))),
                tuple(name for name in group if name not in self.parts),
                droppable,
            )
            for group, droppable in zip(groups, self._droppable(groups), strict=True)
        )

    @property
    def _columns(self) -> dict[str, pl.Expr]:
        """Parts and features; counts and flags of features as numbers."""
        return {**self.parts, **{each.name: each.expr.cast(pl.Float64) for each in self.features}}

    def _droppable(self, steps: Sequence[Mapping[str, pl.Expr]]) -> list[tuple[str, ...]]:
        """The parts that each step is the last to compute or to need."""
        droppable, needed = [], set(self.names)
        for step in reversed(steps):
            here = {*step, *(name for expr in step.values() for name in _columns_read(expr))}
            droppable.append(tuple(sorted((here & self.parts.keys()) - needed)))
            needed |= here
        return droppable[::-1]

    @cached_property
    def feature_columns(self) -> tuple[pl.Expr, ...]:
        """The features under their names, over bars and parts; counts and flags as numbers."""
        return tuple(feature.expr.cast(pl.Float64).alias(feature.name) for feature in self.features)


def _dependency_batches(columns: Mapping[str, pl.Expr]) -> list[dict[str, pl.Expr]]:
    """Columns in batches, each of which finds what it needs; raises ValueError on a circle."""
    waiting, batches = dict(columns), []
    while waiting:
        ready = [name for name, expr in waiting.items() if not _columns_read(expr) & waiting.keys()]
        if not ready:
            raise ValueError(f"parts need each other: {', '.join(sorted(waiting))}")
        batches.append({name: waiting.pop(name) for name in ready})
    return batches


def _alias_all(batch: Mapping[str, pl.Expr]) -> tuple[pl.Expr, ...]:
    return tuple(expr.alias(name) for name, expr in batch.items())


def _group_columns(
    columns: Mapping[str, pl.Expr], bars: Mapping[str, int]
) -> Iterator[dict[str, pl.Expr]]:
    """Each of `bars` with what it needs of `columns`, each column once; the most bars first."""
    added, group, most_bars = set[str](), dict[str, pl.Expr](), 0
    for name in sorted(bars, key=bars.__getitem__, reverse=True):
        if group and (len(group) >= COLUMNS_PER_GROUP or bars[name] <= most_bars - FEWER_BARS):
            yield group
            group = {}
        if not group:
            most_bars = bars[name]
        waiting = [name]
        while waiting:
            column = waiting.pop()
            if column in columns and column not in added:
                added.add(column)
                group[column] = columns[column]
                waiting += sorted(_columns_read(columns[column]))
    if group:
        yield group


def _merge_drops(droppable: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The same names in fewer, larger drops: a planner takes time for each."""
    merged, pending = [], list[str]()
    for names in droppable:
        pending += names
        merged.append(tuple(pending) if len(pending) >= COLUMNS_PER_DROP else ())
        pending = [] if merged[-1] else pending
    return merged


def _columns_read(part: pl.Expr) -> set[str]:
    return set(part.meta.root_names())
