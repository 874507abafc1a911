from __future__ import annotations

import pytest

from mlengine.core.train_params import refused_params


@pytest.mark.parametrize(
    "name",
    [
        "objective",
        "seed",
        "random_state",
        "deterministic",
        "num_threads",
        "n_jobs",
        "is_unbalance",
        "unbalance",
        "scale_pos_weight",
    ],
)
def test_what_the_platform_decides_is_refused(name: str) -> None:
    assert set(refused_params({name: 1, "num_leaves": 15})) == {name}


def test_tuning_parameters_are_taken() -> None:
    assert refused_params({"num_leaves": 15, "lambda_l2": 0.5}) == {}
    assert set(refused_params({"num_leaves": "15", "max_depth": True})) == {
        "num_leaves",
        "max_depth",
    }
