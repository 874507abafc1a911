"""How far each feature moved a score."""

import math
from collections.abc import Sequence
from typing import TypedDict

from mlengine.core.predictions.prediction import Contribution
from mlengine.services.predictions.scoring import Scores


class Explanation(TypedDict):
    """The fields of a prediction that are given when they were asked for."""

    raw_score: float
    base_value: float
    contributions: tuple[Contribution, ...]


def explain(symbol: str, scores: Scores, names: Sequence[str]) -> Explanation:
    """SHAP values of each feature, the largest first; with the base they sum to the raw score."""
    *parts, base_value = scores.contributions[symbol].tolist()
    values = scores.vectors[symbol].tolist()
    parts_of_score = [
        Contribution(name, None if math.isnan(value) else value, part)
        for name, value, part in zip(names, values, parts, strict=True)
    ]
    largest_first = sorted(parts_of_score, key=lambda each: abs(each.contribution), reverse=True)
    return {
        "raw_score": scores.raw[symbol],
        "base_value": base_value,
        "contributions": tuple(largest_first),
    }
