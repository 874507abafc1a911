from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import dataclass, replace

import pytest
from tests.databases import a_prediction

from mlengine.core.predictions.prediction import FeatureSetRef, Forecast, forecast_from_score


@pytest.mark.parametrize(
    ("raw", "said", "confidence"),
    [(0.0, "down", 1.0), (0.25, "down", 0.5), (0.5, "up", 0.0), (0.75, "up", 0.5), (1, "up", 1.0)],
)
def test_a_direction_is_up_from_one_half_on(raw, said, confidence):
    assert forecast_from_score(raw, "direction") == Forecast(raw, None, said, confidence)


def test_just_below_one_half_is_down():
    assert forecast_from_score(math.nextafter(0.5, 0.0), "direction").prediction == "down"


@pytest.mark.parametrize(("raw", "said"), [(1e-300, "up"), (0.0, "down"), (-0.02, "down")])
def test_a_return_is_up_above_zero_and_has_no_confidence(raw, said):
    assert forecast_from_score(raw, "return") == Forecast(None, raw, said, None)


@pytest.mark.parametrize(("raw", "said"), [(1.5, "up"), (0.0, "down"), (-0.2, "down")])
def test_a_z_score_is_a_score_and_no_return(raw, said):
    expected = Forecast(None, None, said, None, expected_score=raw)
    assert forecast_from_score(raw, "return", "cs_zscore") == expected


@pytest.mark.parametrize("objective", ["return", "direction"])
def test_a_negative_zero_becomes_zero(objective):
    forecast = forecast_from_score(-0.0, objective)
    (score,) = (
        each for each in (forecast.probability_up, forecast.expected_return) if each is not None
    )
    assert math.copysign(1.0, score) == 1.0


@pytest.mark.parametrize("raw", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("objective", ["return", "direction"])
def test_a_score_that_is_not_finite_is_refused(raw, objective):
    with pytest.raises(ValueError, match="means nothing"):
        forecast_from_score(raw, objective)


@pytest.mark.parametrize("raw", [-1e-9, 1.0000001])
def test_a_direction_outside_zero_and_one_is_no_probability(raw):
    with pytest.raises(ValueError, match="no probability"):
        forecast_from_score(raw, "direction")


def test_an_unknown_objective_is_refused():
    with pytest.raises(ValueError, match="volatility"):
        forecast_from_score(0.5, "volatility")


def test_importing_it_loads_no_polars():
    code = "import sys, mlengine.core.predictions.prediction; print('polars' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"


@dataclass(frozen=True)
class _FeatureSet:
    name: str = "core"
    version: int = 3
    hash: str = "ab" * 32
    window_bars: int = 64
    features: tuple[str, ...] = ("much", "more")


def test_a_reference_names_the_feature_set_it_was_made_of():
    assert FeatureSetRef.of(_FeatureSet()) == FeatureSetRef("core", 3, "ab" * 32, 64)


def test_a_prediction_with_changes_is_what_replace_makes_of_it():
    prediction = a_prediction(1)
    changes = {"prediction_id": "other", "stale": True, "reasons": ("bar_too_old",)}
    assert prediction.with_changes(changes) == replace(prediction, **changes)
    assert prediction == a_prediction(1)


def test_a_misspelt_field_of_a_prediction_is_refused():
    with pytest.raises(TypeError, match="predicton_id"):
        a_prediction(1).with_changes({"predicton_id": "other"})
