from __future__ import annotations

import dataclasses

import polars as pl
import pytest
from tests.factories import random_bars

from mlengine.core.features import ALPHA158, BUILTIN, CORE, Feature, FeatureSet, compute
from mlengine.core.features.spec import FEWER_BARS


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


def test_bundles_make_each_column_once_and_drop_parts_only_after_their_last_use():
    for each in BUILTIN.values():
        known, made = {"timestamp", "open", "high", "low", "close", "volume"}, []
        for group in each.evaluation_groups:
            for batch in group.column_batches:
                assert {name for expr in batch for name in expr.meta.root_names()} <= known
                names = [expr.meta.output_name() for expr in batch]
                made, known = made + names, known | set(names)
            known -= set(group.features) | set(group.droppable)
        assert sorted(made) == sorted([*each.parts, *each.names])
        features = [name for group in each.evaluation_groups for name in group.features]
        assert sorted(features) == sorted(each.names)
        assert not known & each.parts.keys()
        assert len(each.evaluation_groups) > 3


def test_groups_of_features_look_back_less_and_less_far():
    for each in BUILTIN.values():
        bars = {one.name: one.bars for one in each.features}
        most = [group.bars for group in each.evaluation_groups]
        assert most == sorted(most, reverse=True)
        assert most == [max(bars[n] for n in group.features) for group in each.evaluation_groups]
        assert most[-1] <= most[0] - FEWER_BARS


def test_a_set_without_parts_computes():
    bars = random_bars(rows=5)
    made = compute(bars, a_set(feature()))
    assert made["double"].to_list() == [None, None, *(bars["close"][2:] * 2.0).to_list()]


def test_declarations_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        CORE.version = 2  # type: ignore[misc]
