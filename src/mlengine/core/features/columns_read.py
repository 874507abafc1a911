"""What a feature is made of: the parts and the bar columns that its expression reaches."""

from dataclasses import replace

import polars as pl

from mlengine.core.features.spec import BAR_COLUMNS, Feature, FeatureSet


def columns_read(feature_set: FeatureSet, feature: Feature) -> frozenset[str]:
    """Names of the columns that `feature` reads, and of those that its parts read."""
    columns: set[str] = set()
    waiting = set(feature.expr.meta.root_names())
    while waiting:
        name = waiting.pop()
        columns.add(name)
        part = feature_set.parts.get(name)
        if part is not None:
            waiting |= set(part.meta.root_names()) - columns
    return frozenset(columns)


def reads_ohlcv(feature_set: FeatureSet, feature: Feature) -> bool:
    """Whether a feature is made of prices or volumes, and not only of the calendar."""
    return not columns_read(feature_set, feature).isdisjoint(BAR_COLUMNS)


def reads_symbol(feature_set: FeatureSet, feature: Feature) -> bool:
    """Whether a feature reads the symbol's name, if only to keep symbols apart."""
    return "symbol" in columns_read(feature_set, feature)


def single_feature_set(feature_set: FeatureSet, feature: Feature) -> FeatureSet:
    """A set of one feature and the parts that it needs."""
    needed = columns_read(feature_set, feature)
    parts = {name: part for name, part in feature_set.parts.items() if name in needed}
    return replace(feature_set, features=(feature,), parts=parts)


def expressions(feature_set: FeatureSet, feature: Feature) -> list[pl.Expr]:
    """The feature's own expression and those of the parts that it needs."""
    return [feature.expr, *single_feature_set(feature_set, feature).parts.values()]
