"""Which LightGBM parameters a training may be asked for."""

from __future__ import annotations

from collections.abc import Mapping

ALLOWED = frozenset(
    {
        "bagging_fraction",
        "bagging_freq",
        "feature_fraction",
        "feature_fraction_bynode",
        "lambda_l1",
        "lambda_l2",
        "learning_rate",
        "max_bin",
        "max_depth",
        "min_data_in_leaf",
        "min_gain_to_split",
        "min_sum_hessian_in_leaf",
        "num_leaves",
        "path_smooth",
    }
)


def refused_params(params: Mapping[str, object]) -> dict[str, str]:
    """Why each parameter that can't be asked for is refused, by its name."""
    known = ", ".join(sorted(ALLOWED))
    refused = {name: f"is none of {known}" for name in params if name not in ALLOWED}
    for name, value in params.items():
        if name in ALLOWED and (isinstance(value, bool) or not isinstance(value, int | float)):
            refused[name] = "must be a number"
    return refused
