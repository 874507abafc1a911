"""Digit for digit the scores of Evidently 0.7; see tests/golden/evidently/make.py."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.spatial import distance

from mlengine.core.monitoring.drift.distances import SortedSample, sort_columns
from mlengine.core.monitoring.drift.evidently import evidently_scores

FOLDER = Path(__file__).parents[3] / "golden" / "evidently"
SAMPLES = json.loads((FOLDER / "scores.json").read_text())


def sorted_sample(values: list[float | str | None]) -> SortedSample:
    plain = [math.nan if value is None else float(value) for value in values]
    return sort_columns(np.array(plain)[:, None])[0]


def test_the_scores_are_those_that_were_written() -> None:
    digest = hashlib.sha256((FOLDER / "scores.json").read_bytes()).hexdigest()
    assert json.loads((FOLDER / "metadata.json").read_text())["sha256"]["scores.json"] == digest


@pytest.mark.parametrize("sample", SAMPLES, ids=[each["name"] for each in SAMPLES])
def test_scores_are_evidentlys_to_twelve_digits(sample: dict[str, Any]) -> None:
    pair = (sorted_sample(sample[side]) for side in ("reference", "current"))
    assert vars(evidently_scores(*pair)) == pytest.approx(sample["scores"], abs=1e-12, rel=1e-12)


@pytest.mark.parametrize("empty", [[], [None], ["inf"]])
def test_without_a_finite_value_there_is_no_score(empty: list[float | str | None]) -> None:
    values, nothing = sorted_sample([1.0, 2.0, 3.0]), sorted_sample(empty)
    for pair in ((values, nothing), (nothing, values), (nothing, nothing)):
        assert all(math.isnan(score) for score in vars(evidently_scores(*pair)).values())


@pytest.mark.parametrize("digits", [1, 9])
def test_of_many_values_the_scores_are_those_of_numpy_and_scipy(digits: int) -> None:
    rng = np.random.default_rng(2)
    sides = [np.round(rng.standard_t(3, rows), digits) for rows in (12_000, 3_000)]
    ours, theirs = (sort_columns(side[:, None])[0] for side in sides)
    found = evidently_scores(ours, theirs)
    assert found.ks_p_value == pytest.approx(stats.ks_2samp(*sides).pvalue, rel=1e-12)
    edges = np.histogram_bin_edges(np.concatenate(sides), bins="sturges")
    counts = [np.histogram(side, edges)[0] / len(side) for side in sides]
    assert found.jensen_shannon == pytest.approx(distance.jensenshannon(*counts), abs=1e-12)
