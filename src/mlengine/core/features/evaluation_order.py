"""In which order the columns of a feature set are evaluated, and which on the newest rows alone."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import polars as pl

COLUMNS_PER_DROP = 48
COLUMNS_PER_GROUP = 40
# So many bars fewer are worth a group of their own, and a copy of what it needs.
FEWER_BARS = 16

_Columns = Mapping[str, pl.Expr]
_Batches = tuple[tuple[pl.Expr, ...], ...]


class EvaluationGroup(NamedTuple):
    """Columns that are needed of the newest rows alone, and what they look back on, in batches.

    `column_batches` are evaluated on all rows, `newest_columns` are kept of the newest ones. No
    feature that needs them depends on more than `bars` bars. `droppable` are the columns of all
    rows, of whichever group, that no later group needs.
    """

    bars: int
    column_batches: _Batches
    newest_columns: tuple[pl.Expr, ...]
    droppable: tuple[str, ...]


class NewestRowsOrder(NamedTuple):
    """How the features of the newest rows are made: the groups, then what looks at one row."""

    groups: tuple[EvaluationGroup, ...]
    pointwise_batches: _Batches


def newest_rows_order(columns: _Columns, feature_bars: Mapping[str, int]) -> NewestRowsOrder:
    """The order for what the features among `columns` need, each with its number of bars.

    What another column looks back on is evaluated on all rows, and so is what may be one value for
    all of them; the rest is needed of the newest rows alone. What looks back comes some after the
    other, so that few columns are held at a time, first what is for features of the most bars: the
    later ones need fewer rows.
    """
    bars = _bars_needed(columns, feature_bars)
    columns = {name: expr for name, expr in columns.items() if name in bars}
    pointwise = {name for name, expr in columns.items() if is_pointwise(expr)}
    looking_back = {name: expr for name, expr in columns.items() if name not in pointwise}
    spread = {name for name, expr in looking_back.items() if not _has_each_row(expr)}
    whole = _needed(columns, spread | _read_by(looking_back.values()))
    last = {name: columns[name] for name in columns if name in pointwise - whole}
    first = {name: columns[name] for name in columns if name not in last}
    kept = first.keys() - whole | whole & (_read_by(last.values()) | feature_bars.keys())
    groups = list(_group_columns(first, {name: bars[name] for name in first if name in kept}))
    return NewestRowsOrder(
        tuple(
            EvaluationGroup(
                max(bars[name] for name in group if name in kept),
                batches({name: expr for name, expr in group.items() if name in whole}),
                tuple(
                    pl.col(name) if name in whole else expr.alias(name)
                    for name, expr in group.items()
                    if name in kept
                ),
                tuple(sorted(done & whole)),
            )
            for group, done in zip(groups, _done_with(groups, keep=()), strict=True)
        ),
        batches(last),
    )


def is_pointwise(expr: pl.Expr) -> bool:
    """Whether each row of `expr` is made of that row of its columns; False where nobody can tell.

    >>> is_pointwise(pl.col("high") - pl.col("low")), is_pointwise(pl.col("close").shift(1) * 2.0)
    (True, False)
    """
    try:
        return expr.meta.is_row_separable() and all(map(is_pointwise, expr.meta.pop()))
    except pl.exceptions.PolarsError:
        return False


def _has_each_row(expr: pl.Expr) -> bool:
    """Whether `expr` is as long as its columns; False where nobody can tell."""
    try:
        return expr.meta.is_length_preserving()
    except pl.exceptions.PolarsError:
        return False


def batches(columns: _Columns) -> _Batches:
    """Columns in an order in which each finds those that it needs; raises ValueError on a circle.

    Shallow batches of named columns, since Polars' planner takes time with the square of an
    expression's depth: 200 ms for six deviations written as single expressions.
    """
    return tuple(map(_alias_all, _dependency_batches(columns)))


def batches_and_drops(
    columns: _Columns, *, keep: Collection[str]
) -> tuple[tuple[tuple[pl.Expr, ...], tuple[str, ...]], ...]:
    """Columns as soon as they can be evaluated, and which, but for `keep`, then to drop."""
    steps = _dependency_batches(columns)
    droppable = [tuple(sorted(done & columns.keys())) for done in _done_with(steps, keep=keep)]
    return tuple(zip(map(_alias_all, steps), _merge_drops(droppable), strict=True))


def _dependency_batches(columns: _Columns) -> list[dict[str, pl.Expr]]:
    waiting, found = dict(columns), []
    while waiting:
        ready = [name for name, expr in waiting.items() if not _read_by([expr]) & waiting.keys()]
        if not ready:
            raise ValueError(f"parts need each other: {', '.join(sorted(waiting))}")
        found.append({name: waiting.pop(name) for name in ready})
    return found


def _alias_all(batch: _Columns) -> tuple[pl.Expr, ...]:
    return tuple(expr.alias(name) for name, expr in batch.items())


def _read_by(exprs: Iterable[pl.Expr]) -> set[str]:
    return {name for expr in exprs for name in expr.meta.root_names()}


def _needed(columns: _Columns, names: Iterable[str]) -> set[str]:
    """Those of `columns` among `names`, and those that they are made of."""
    found, waiting = set[str](), list(names)
    while waiting:
        name = waiting.pop()
        if name in columns and name not in found:
            found.add(name)
            waiting += columns[name].meta.root_names()
    return found


def _bars_needed(columns: _Columns, feature_bars: Mapping[str, int]) -> dict[str, int]:
    """The most bars of the features that need a column; without what none needs."""
    bars = dict[str, int]()
    for feature in sorted(feature_bars, key=feature_bars.__getitem__):
        bars |= dict.fromkeys(_needed(columns, [feature]), feature_bars[feature])
    return bars


def _group_columns(columns: _Columns, bars: Mapping[str, int]) -> Iterator[dict[str, pl.Expr]]:
    """Each of `bars` with what it needs of `columns`, each column once; the most bars first."""
    added, group, most_bars = set[str](), dict[str, pl.Expr](), 0
    for name in sorted(bars, key=bars.__getitem__, reverse=True):
        if group and (len(group) >= COLUMNS_PER_GROUP or bars[name] <= most_bars - FEWER_BARS):
            yield group
            group = {}
        if not group:
            most_bars = bars[name]
        for column in sorted(_needed(columns, [name]) - added):
            added.add(column)
            group[column] = columns[column]
    if group:
        yield group


def _done_with(steps: Sequence[_Columns], *, keep: Collection[str]) -> list[set[str]]:
    """What each step is the last to evaluate or to need, but for `keep`."""
    done, needed = [], set(keep)
    for step in reversed(steps):
        here = {*step, *_read_by(step.values())}
        done.append(here - needed)
        needed |= here
    return done[::-1]


def _merge_drops(droppable: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The same names in fewer, larger drops: a planner takes time for each."""
    merged, pending = [], list[str]()
    for names in droppable:
        pending += names
        merged.append(tuple(pending) if len(pending) >= COLUMNS_PER_DROP else ())
        pending = [] if merged[-1] else pending
    return merged
