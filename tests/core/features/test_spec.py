from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from itertools import chain

import polars as pl
import pytest
from tests.factories import random_bars

from mlengine.core.features import ALPHA158, BUILTIN, CORE, Feature, FeatureSet, compute
from mlengine.core.features.evaluation_order import FEWER_BARS, is_pointwise
from mlengine.core.features.kernels import total

COLUMNS = ("symbol", "timestamp", "open", "high", "low", "close", "volume")
CLOSE = pl.col("close")


def feature(name: str = "double", **changes) -> Feature:
    facts = {"expr": pl.col("close") * 2.0, "formula": "2 close", "bars": 1, "unit": "none",
             "source": "test", "doc": "Twice the close."}  # fmt: skip
    return Feature(name=name, **{**facts, **changes})


def a_set(*features: Feature, **changes) -> FeatureSet:
    facts = {"name": "mine", "version": 1, "window_bars": 3, "features": features}
    return FeatureSet(**{**facts, **changes})


def test_the_built_in_sets_are_found_by_their_names():
    assert dict(BUILTIN) == {"core": CORE, "alpha158": ALPHA158}
    assert (CORE.name, CORE.version, CORE.window_bars) == ("core", 1, 64)
    assert 30 <= len(CORE.names) <= 50


DECLARED = [feature for each in BUILTIN.values() for feature in each.features]


@pytest.mark.parametrize("declared", DECLARED, ids=lambda declared: declared.name)
def test_every_feature_says_what_it_is(declared: Feature):
    for said in (declared.formula, declared.source, declared.unit, declared.doc):
        assert said.strip() == said
        assert said
    assert declared.doc.endswith(".")
    assert "\n" not in declared.doc
    assert 1 <= declared.bars <= 64
    assert declared.low is None or declared.high is None or declared.low < declared.high


@pytest.mark.parametrize("each", BUILTIN.values(), ids=BUILTIN)
def test_every_part_is_used(each: FeatureSet):
    asked = {name for f in each.features for name in f.expr.meta.root_names()}
    asked |= {name for part in each.parts.values() for name in part.meta.root_names()}
    assert set(each.parts) - asked == set()


def test_the_hash_is_of_the_declaration():
    base = a_set(feature())
    assert base.hash == a_set(feature(doc="Other words.")).hash
    assert len(base.hash) == 64
    others = [
        a_set(feature(formula="2.0 close")),
        a_set(feature("twice")),
        a_set(feature(), version=2),
        a_set(feature(), name="yours"),
        a_set(feature(), window_bars=4),
        a_set(feature(), feature("again")),
        a_set(feature("again"), feature()),
    ]
    assert len({base.hash, *(other.hash for other in others)}) == 8


def test_names_that_clash_are_refused():
    for features, parts in (
        ((feature("close"),), {}),
        ((feature(), feature()), {}),
        ((feature("step"),), {"step": pl.col("close").diff()}),
    ):
        with pytest.raises(ValueError, match="two columns"):
            a_set(*features, parts=parts)


@pytest.mark.parametrize("bars", [0, 4])
def test_a_look_back_beyond_the_window_is_refused(bars: int):
    with pytest.raises(ValueError, match=f"needs {bars} of 3 bars"):
        a_set(feature(bars=bars))


def test_parts_that_need_each_other_are_refused():
    parts = {"a": pl.col("b") + 1, "b": pl.col("a") + 1, "c": pl.col("close")}
    with pytest.raises(ValueError, match="parts need each other: a, b"):
        a_set(feature(), parts=parts)


def test_parts_come_before_what_needs_them():
    parts = {"b": pl.col("a") + 1.0, "a": pl.col("close") * 3.0, "c": pl.col("open")}
    names = [[e.meta.output_name() for e in batch] for batch in a_set(parts=parts).column_batches]
    assert names == [["a", "c"], ["b"]]


def test_a_frugal_evaluation_drops_parts_only_after_their_last_use():
    for each in BUILTIN.values():
        known = {"timestamp", "open", "high", "low", "close", "volume"}
        dropped: set[str] = set()
        for batch, droppable in each.column_batches_and_drops:
            assert {name for expr in batch for name in expr.meta.root_names()} <= known
            known = (known | {expr.meta.output_name() for expr in batch}) - set(droppable)
            dropped |= set(droppable)
        assert set(each.names) <= known
        assert len(dropped) > len(each.parts) / 2


def names(columns: Iterable[pl.Expr]) -> list[str]:
    return [column.meta.output_name() for column in columns]


def read(columns: Iterable[pl.Expr]) -> set[str]:
    return {name for column in columns for name in column.meta.root_names()}


def test_groups_make_each_column_once_and_drop_parts_only_after_their_last_use():
    for each in BUILTIN.values():
        order = each.newest_rows_order
        whole, made = set(COLUMNS), list[str]()
        newest = {*COLUMNS}
        for group in order.groups:
            for batch in group.column_batches:
                assert read(batch) <= whole
                made, whole = made + names(batch), whole | set(names(batch))
            assert read(group.newest_columns) <= whole
            assert not newest & set(names(group.newest_columns))
            newest |= set(names(group.newest_columns))
            assert whole >= set(group.droppable)
            whole -= set(group.droppable)
        assert whole == set(COLUMNS)
        for batch in order.pointwise_batches:
            assert read(batch) <= newest
            newest |= set(names(batch))
        assert set(each.names) <= newest
        assert len(made) == len(set(made))
        assert set(made) | newest == {*COLUMNS, *each.parts, *each.names}
        assert len(order.groups) > 3


def test_only_what_others_look_back_on_is_made_of_all_rows():
    parts = {
        "middle": (pl.col("high") + pl.col("low")) / 2.0,
        "before": pl.col("middle").shift(1),
        "size": pl.col("volume") * 2.0,
        "unused": pl.col("nothing"),
    }
    first = feature("first", expr=pl.col("before") / pl.col("middle") - pl.col("size"))
    last = feature("last", expr=pl.col("size").map_batches(lambda size: size))
    order = a_set(first, last, parts=parts).newest_rows_order
    (group,) = order.groups
    assert names(chain(*group.column_batches)) == ["middle", "size", "last"]
    assert sorted(names(group.newest_columns)) == ["before", "last", "middle", "size"]
    assert names(chain(*order.pointwise_batches)) == ["first"]


@pytest.mark.parametrize(
    "expr",
    [
        CLOSE.shift(1) * 2.0,
        pl.when(pl.col("low") > CLOSE.diff()).then(1.0).otherwise(CLOSE),
        CLOSE - CLOSE.mean(),
        CLOSE.forward_fill().abs(),
        CLOSE.sum().over("symbol"),
        CLOSE.cum_sum().sqrt(),
        total(CLOSE, bars=2).fill_null(0.0),
        CLOSE.map_batches(lambda close: close),
    ],
    ids=str,
)
def test_what_reads_other_rows_is_not_pointwise(expr: pl.Expr):
    assert not is_pointwise(expr)


def test_groups_look_back_less_and_less_far():
    for each in BUILTIN.values():
        most = [group.bars for group in each.newest_rows_order.groups]
        assert most == sorted(most, reverse=True)
        assert most[0] == max(one.bars for one in each.features)
        assert most[-1] <= most[0] - FEWER_BARS


def test_a_set_without_parts_computes():
    bars = random_bars(rows=5)
    made = compute(bars, a_set(feature()))
    assert made["double"].to_list() == [None, None, *(bars["close"][2:] * 2.0).to_list()]


def test_declarations_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        CORE.version = 2  # type: ignore[misc]
