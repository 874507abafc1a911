"""The same feature set for markets that lack something: volume, or prices above zero."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import polars as pl

from mlengine.core.bars.bars import PRICES
from mlengine.core.features.columns_read import columns_read
from mlengine.core.features.spec import Feature, FeatureSet

NO_VOLUME, ANY_SIGN = "no_volume", "any_sign"


def reduced_sets(feature_set: FeatureSet) -> Iterator[FeatureSet]:
    """`NAME.no_volume`, `NAME.any_sign` and `NAME.any_sign.no_volume`, each with what is left.

    The first has no feature that reads the volume, the second only those that are declared for
    prices of any sign. A variant without features, or with all of them, is left out.
    """
    for lacks in ((NO_VOLUME,), (ANY_SIGN,), (ANY_SIGN, NO_VOLUME)):
        variant = _variant(feature_set, lacks)
        if 0 < len(variant.features) < len(feature_set.features):
            yield variant


def find(feature_sets: Mapping[str, FeatureSet], name: str) -> FeatureSet | None:
    """The set of this name, or the variant of one; None without either."""
    if name in feature_sets:
        return feature_sets[name]
    bases = [each for base, each in feature_sets.items() if name.startswith(f"{base}.")]
    return next((each for base in bases for each in reduced_sets(base) if each.name == name), None)


def set_for_bars(feature_set: FeatureSet, bars: pl.DataFrame) -> FeatureSet:
    """The set without the features that need what these bars of all symbols lack.

    The set itself where nothing is lacking. May be without any feature.
    """
    lacks = [ANY_SIGN] if has_signed_prices(bars) else []
    if not bars.select((pl.col("volume") > 0.0).any()).item():
        lacks.append(NO_VOLUME)
    variant = _variant(feature_set, lacks)
    return variant if len(variant.features) < len(feature_set.features) else feature_set


def has_signed_prices(bars: pl.DataFrame) -> bool:
    """Whether a price is zero or below, as those of spreads are."""
    return bool(bars.select(pl.any_horizontal((pl.col(PRICES) <= 0.0).any())).item())


def _variant(feature_set: FeatureSet, lacks: Sequence[str]) -> FeatureSet:
    features = tuple(each for each in feature_set.features if _suits(feature_set, each, lacks))
    needed = frozenset[str]().union(*(columns_read(feature_set, each) for each in features))
    return replace(
        feature_set,
        name=".".join([feature_set.name, *lacks]),
        features=features,
        parts={name: part for name, part in feature_set.parts.items() if name in needed},
    )


def _suits(feature_set: FeatureSet, feature: Feature, lacks: Sequence[str]) -> bool:
    if ANY_SIGN in lacks and not feature.any_sign:
        return False
    return NO_VOLUME not in lacks or "volume" not in columns_read(feature_set, feature)
