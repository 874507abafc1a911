import dataclasses

import lightgbm
import pytest
from tests.core.small_features import SPEC

from mlengine.core.boosting.model import DEFAULT_PARAMS
from mlengine.core.training.params import TUNING, invalid_label_reason, invalid_params

TEN = tuple(f"S{i:02d}" for i in range(10))


def test_the_built_in_parameters_may_be_set():
    assert invalid_params(DEFAULT_PARAMS) == {}
    assert invalid_params({}) == {}


@pytest.mark.parametrize(
    "name",
    [
        "objective", "application", "app", "loss",
        "seed", "random_state", "random_seed", "bagging_seed", "feature_fraction_seed",
        "data_random_seed", "extra_seed", "drop_seed",
        "deterministic", "num_threads", "n_jobs", "nthread",
        "is_unbalance", "unbalance", "scale_pos_weight",
        "metric", "metrics", "num_iterations", "n_estimators", "num_boost_round", "max_iter",
        "early_stopping_round", "early_stopping_rounds", "n_iter_no_change",
        "force_row_wise", "force_col_wise", "device", "device_type", "gpu_use_dp",
        "use_quantized_grad", "boosting", "linear_tree", "tree_learner",
        "data", "train", "valid", "input_model", "output_model", "save_binary", "snapshot_freq",
        "forcedsplits_filename", "forcedbins_filename", "config", "task", "label_column",
        "monotone_constraints", "verbosity", "verbose", "machines", "", "num leaves", "NUM_LEAVES",
    ],
)  # fmt: skip
def test_what_is_the_platforms_own_or_unknown_is_refused_by_name(name):
    (refused,) = invalid_params({name: 1, "num_leaves": 31}).items()
    assert refused[0] == name
    assert "is not one of the tuning parameters" in refused[1]


def test_every_alias_of_a_tuning_parameter_is_refused_with_its_own_name():
    # Beside a default under the own name it would lose, and nobody would see it.
    for name in TUNING:
        for alias in lightgbm.basic._ConfigAliases.get(name) - {name}:
            assert invalid_params({alias: 1}) == {alias: f"must be written as {name}"}


def test_every_tuning_parameter_is_one_of_lightgbm():
    assert all(len(lightgbm.basic._ConfigAliases.get(name)) >= 1 for name in TUNING)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("num_leaves", 1, "from 2 to 131072"),
        ("num_leaves", 31.0, "a whole number"),
        ("num_leaves", True, "a whole number"),
        ("learning_rate", 0, "above 0.0 to 1.0"),
        ("learning_rate", float("nan"), "above 0.0"),
        ("learning_rate", "0.1", "a number"),
        ("lambda_l2", -1e-9, "from 0.0"),
        ("lambda_l2", float("inf"), "from 0.0"),
        ("bagging_fraction", 1.01, "to 1.0"),
        ("extra_trees", 1, "true or false"),
        ("lambda_l1", [1.0], "a number"),
        ("lambda_l1", None, "a number"),
        ("max_depth", {}, "a whole number"),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_range(name, value, why):
    assert why in invalid_params({name: value})[name]


def test_a_whole_number_may_stand_for_a_fraction():
    assert invalid_params({"learning_rate": 1, "lambda_l1": 0, "extra_trees": False}) == {}


@pytest.mark.parametrize(
    ("objective", "symbols", "fits"),
    [("return", TEN, True), ("direction", TEN, False), ("return", (*TEN[:9], "S00"), False)],
)
def test_a_z_score_needs_returns_and_ten_symbols(objective, symbols, fits):
    spec = dataclasses.replace(SPEC, label="cs_zscore", objective=objective, symbols=symbols)
    assert (invalid_label_reason(spec) is None) == fits
    assert invalid_label_reason(dataclasses.replace(spec, label="raw")) is None
