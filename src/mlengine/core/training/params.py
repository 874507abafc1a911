"""What a recipe may ask for: LightGBM parameters that tune and nothing else, labels that fit."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mlengine.core.training.spec import TrainSpec

# A z-score among fewer symbols says more of its neighbours than of the symbol.
FEWEST_SYMBOLS = 10
NEEDS_CLUSTER = "needs DASK_SCHEDULER_ADDRESS and the extra [dask]"


@dataclass(frozen=True)
class IntegerRange:
    low: int
    high: int

    def refusal(self, value: object) -> str | None:
        """Why not, if not."""
        if type(value) is int and self.low <= value <= self.high:
            return None
        return f"must be a whole number from {self.low} to {self.high}"


@dataclass(frozen=True)
class NumberRange:
    """From `low` to `high`, `low` itself left out where it is `above`."""

    low: float
    high: float
    above: bool = False

    def refusal(self, value: object) -> str | None:
        """Why not, if not."""
        if isinstance(value, int | float) and type(value) is not bool and self._holds(value):
            return None
        return f"must be a number {'above' if self.above else 'from'} {self.low} to {self.high}"

    def _holds(self, value: float) -> bool:
        within = math.isfinite(value) and self.low <= value <= self.high
        return within and not (self.above and value == self.low)


@dataclass(frozen=True)
class BooleanParam:
    def refusal(self, value: object) -> str | None:
        """Why not, if not."""
        return None if type(value) is bool else "must be true or false"


# LightGBM's own names. None of them has a say in what is learnt, on which rows, when it ends, on
# how many threads, from which seed or with which arithmetic: those are the platform's.
TUNING: Mapping[str, IntegerRange | NumberRange | BooleanParam] = {
    "bagging_fraction": NumberRange(0.0, 1.0, above=True),
    "bagging_freq": IntegerRange(0, 10_000),
    "extra_trees": BooleanParam(),
    "feature_fraction": NumberRange(0.0, 1.0, above=True),
    "feature_fraction_bynode": NumberRange(0.0, 1.0, above=True),
    "lambda_l1": NumberRange(0.0, 1e9),
    "lambda_l2": NumberRange(0.0, 1e9),
    "learning_rate": NumberRange(0.0, 1.0, above=True),
    "max_bin": IntegerRange(2, 65_535),
    "max_delta_step": NumberRange(0.0, 1e9),
    "max_depth": IntegerRange(-1, 1_000),
    "min_data_in_bin": IntegerRange(1, 1_000_000),
    "min_data_in_leaf": IntegerRange(1, 10_000_000),
    "min_gain_to_split": NumberRange(0.0, 1e9),
    "min_sum_hessian_in_leaf": NumberRange(0.0, 1e9),
    "num_leaves": IntegerRange(2, 131_072),
    "path_smooth": NumberRange(0.0, 1e9),
}
_TUNING_ALIASES = {
    "bagging": "bagging_fraction",
    "colsample_bynode": "feature_fraction_bynode",
    "colsample_bytree": "feature_fraction",
    "eta": "learning_rate",
    "extra_tree": "extra_trees",
    "l1_regularization": "lambda_l1",
    "l2_regularization": "lambda_l2",
    "lambda": "lambda_l2",
    "max_bins": "max_bin",
    "max_leaf": "num_leaves",
    "max_leaf_nodes": "num_leaves",
    "max_leaves": "num_leaves",
    "max_tree_output": "max_delta_step",
    "max_leaf_output": "max_delta_step",
    "min_child_samples": "min_data_in_leaf",
    "min_child_weight": "min_sum_hessian_in_leaf",
    "min_data": "min_data_in_leaf",
    "min_data_per_leaf": "min_data_in_leaf",
    "min_hessian": "min_sum_hessian_in_leaf",
    "min_samples_leaf": "min_data_in_leaf",
    "min_split_gain": "min_gain_to_split",
    "min_sum_hessian": "min_sum_hessian_in_leaf",
    "min_sum_hessian_per_leaf": "min_sum_hessian_in_leaf",
    "num_leaf": "num_leaves",
    "reg_alpha": "lambda_l1",
    "reg_lambda": "lambda_l2",
    "shrinkage_rate": "learning_rate",
    "sub_feature": "feature_fraction",
    "sub_feature_bynode": "feature_fraction_bynode",
    "sub_row": "bagging_fraction",
    "subsample": "bagging_fraction",
    "subsample_freq": "bagging_freq",
}


def invalid_params(params: Mapping[str, object]) -> dict[str, str]:
    """Why each of the refused LightGBM parameters is refused, by name; empty when all are fine.

    Allowed are LightGBM's own names in TUNING, within their ranges. An alias is refused too: next
    to a default under the own name it would lose in silence.
    """
    errors = {name: _refusal(name, value) for name, value in params.items()}
    return {name: error for name, error in errors.items() if error is not None}


def invalid_label_reason(spec: TrainSpec) -> str | None:
    """Why the label of `spec` does not go with the rest of it, if so."""
    if spec.label != "cs_zscore":
        return None
    if spec.objective == "return" and len(set(spec.symbols)) >= FEWEST_SYMBOLS:
        return None
    return f"cs_zscore needs the objective return and at least {FEWEST_SYMBOLS} symbols"


def _refusal(name: str, value: object) -> str | None:
    if name in TUNING:
        return TUNING[name].refusal(value)
    if name in _TUNING_ALIASES:
        return f"must be written as {_TUNING_ALIASES[name]}"
    return f"is not one of the tuning parameters {', '.join(TUNING)}"
