from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mlengine.core.monitoring.drift.report import compare_distributions, ks
from mlengine.core.monitoring.reference import sketch
from mlengine.stores.system.table_files import to_parquet


def rows(count: int, *, seed: int = 0, shift: float = 0.0) -> pl.DataFrame:
    """A heavy tail, ties, a column with undefined values, and one with nothing else."""
    random = np.random.default_rng(seed)
    tail = random.standard_t(2, count) + shift
    gaps = np.where(random.random(count) < 0.2, np.nan, random.normal(size=count))
    return pl.DataFrame(
        {
            "tail": tail,
            "ties": random.integers(0, 4, count).astype(float),
            "gaps": gaps,
            "empty": np.full(count, np.nan),
        },
        nan_to_null=True,
    )


def test_of_few_rows_the_sketch_tells_the_same_as_the_rows() -> None:
    few, current = rows(400), rows(300, seed=1, shift=0.2)
    assert compare_distributions(sketch(few), current) == compare_distributions(few, current)


def test_of_many_rows_it_is_within_its_bound() -> None:
    many = rows(50_000)
    small = sketch(many)
    for name in ("tail", "ties", "gaps"):
        assert ks(many[name].to_numpy(), small[name].to_numpy()) <= 1 / 512
    assert small["gaps"].null_count() / 512 == pytest.approx(0.2, abs=0.01)
    report = compare_distributions(small, rows(2_000, seed=1))
    exact = compare_distributions(many, rows(2_000, seed=1))
    assert report.n_reference == 50_000
    for sketched, full in zip(report.features, exact.features, strict=True):
        if full.ks is not None:
            assert sketched.ks == pytest.approx(full.ks, abs=2 / 512)
            assert sketched.psi == pytest.approx(full.psi, abs=0.02)


def test_it_is_small_for_a_wide_set_of_features() -> None:
    wide = pl.DataFrame(np.random.default_rng(0).normal(size=(60_000, 158)))
    assert len(to_parquet(sketch(wide))) < 1_000_000


def test_it_is_the_same_for_the_same_rows_in_any_order() -> None:
    some = rows(3_000)
    assert sketch(some).equals(sketch(some.reverse()))


def test_no_rows_have_an_empty_sketch() -> None:
    assert sketch(rows(0)).height == 0
    assert compare_distributions(sketch(rows(0)), rows(60)).status == "insufficient_data"
