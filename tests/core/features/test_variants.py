from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from tests.factories import random_bars

from mlengine.core.bars.bars import PRICES
from mlengine.core.features import ALPHA158, CORE, FeatureSet, compute
from mlengine.core.features.variants import reduced_sets, set_for_bars

BARS = random_bars(rows=400)
# Alpha158 rounds prices to single precision, as Qlib does.
TOLERANCE = {"core": 1e-6, "alpha158": 2e-3}


def shifted(amount: float) -> pl.DataFrame:
    return BARS.with_columns(pl.col(PRICES) + amount)


@pytest.mark.parametrize("feature_set", [CORE, ALPHA158], ids=lambda each: each.name)
def test_a_feature_for_any_sign_is_the_same_when_all_prices_move_alike(feature_set: FeatureSet):
    before = compute(BARS, feature_set)
    for amount in (256.0, -300.0):
        after = compute(shifted(amount), feature_set)
        for feature in feature_set.features:
            if feature.any_sign:
                old, new = before[feature.name].to_numpy(), after[feature.name].to_numpy()
                tolerance = TOLERANCE[feature_set.name]
                same = np.isclose(old, new, rtol=tolerance, atol=tolerance, equal_nan=True)
                assert same.mean() > 0.99, feature.name  # ties of rounded prices aside


def test_what_needs_volume_is_left_out_where_there_is_none():
    variant = set_for_bars(CORE, BARS.with_columns(pl.lit(0.0).alias("volume")))
    assert variant.name == "core.no_volume"
    assert set(CORE.names) - set(variant.names) == {
        "close_volume_correlation_20",
        "money_flow_14",
        "signed_volume_20",
        "volume_ratio_20",
        "volume_ratio_5_60",
        "volume_zscore_20",
    }
    assert variant.hash != CORE.hash
    without = BARS.with_columns(pl.lit(0.0).alias("volume"))
    assert compute(without, variant).equals(
        compute(BARS, CORE).select(compute(without, variant).columns)
    )


def test_a_market_that_has_everything_gets_the_set_itself():
    assert set_for_bars(CORE, BARS) is CORE
    assert set_for_bars(CORE, BARS.with_columns(pl.lit(0.0).alias("volume")).vstack(BARS)) is CORE


def test_prices_of_any_sign_get_the_features_that_are_declared_for_them():
    spread = shifted(-100.0)
    assert set_for_bars(CORE, spread).name == "core.any_sign"
    neither = set_for_bars(CORE, spread.with_columns(pl.lit(0.0).alias("volume")))
    assert neither.name == "core.any_sign.no_volume"
    assert set(neither.names) < set(set_for_bars(CORE, spread).names)


def test_each_variant_is_a_set_like_any_other():
    named = {each.name: len(each.names) for each in (*reduced_sets(CORE), *reduced_sets(ALPHA158))}
    assert named == {
        "core.no_volume": 43,
        "core.any_sign": 20,
        "core.any_sign.no_volume": 15,
        "alpha158.no_volume": 118,
        "alpha158.any_sign": 80,
        "alpha158.any_sign.no_volume": 55,
    }
