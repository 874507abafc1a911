from __future__ import annotations

import numpy as np
import pytest

from mlengine.core.arrays import Floats
from mlengine.core.monitoring.drift.distances import distances, sort_columns
from mlengine.core.monitoring.drift.sketch import sketch
from mlengine.stores.system.table_files import to_parquet

NAMES = ("tail", "ties", "gaps", "empty")


def rows(count: int, *, seed: int = 0, shift: float = 0.0) -> Floats:
    """A heavy tail, ties, a column with undefined values, and one with nothing else."""
    random = np.random.default_rng(seed)
    tail = random.standard_t(2, count) + shift
    gaps = np.where(random.random(count) < 0.2, np.nan, random.normal(size=count))
    ties = random.integers(0, 4, count).astype(float)
    return np.stack([tail, ties, gaps, np.full(count, np.nan)], axis=1)


def sketched(values: Floats) -> Floats:
    frame = sketch(dict(zip(NAMES, sort_columns(values), strict=True)), rows=len(values))
    assert set(frame["rows_behind"]) <= {len(values)}
    return frame.select(NAMES).cast(float).fill_null(float("nan")).to_numpy()


def test_of_few_rows_the_sketch_has_every_value() -> None:
    few = rows(400)
    assert np.array_equal(sketched(few), np.sort(few, axis=0), equal_nan=True)


def test_of_many_rows_it_is_within_its_bound() -> None:
    many, current = rows(50_000), sort_columns(rows(2_000, seed=1, shift=0.2))
    small = sketched(many)
    assert np.isnan(small[:, 2]).mean() == pytest.approx(0.2, abs=0.01)
    for full, few, live in zip(sort_columns(many), sort_columns(small), current, strict=True):
        if len(full.values):
            assert distances(full, few).ks <= 1 / 512
            assert distances(few, live).ks == pytest.approx(distances(full, live).ks, abs=2 / 512)
            assert distances(few, live).psi == pytest.approx(distances(full, live).psi, abs=0.02)


def test_it_is_small_for_a_wide_set_of_features() -> None:
    wide = sort_columns(np.random.default_rng(0).normal(size=(5_000, 158)))
    frame = sketch({str(at): sample for at, sample in enumerate(wide)}, rows=5_000)
    assert len(to_parquet(frame)) < 1_000_000


def test_no_rows_have_an_empty_sketch() -> None:
    assert len(sketched(rows(0))) == 0
