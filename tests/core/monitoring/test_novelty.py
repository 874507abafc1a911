"""Rows unlike those of training are told, and rows like them seldom."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.core.monitoring.drift.panels import PanelRows, grid_of, panel, replaced

from mlengine.core.monitoring.novelty import NOVELTY_LEVELS, NoveltyReference, build_novelty

COLUMNS = np.array([0, 2, 3, 1])


@pytest.fixture(scope="module")
def novelty() -> NoveltyReference:
    rows = panel(2000)
    return build_novelty(rows, grid_of(rows), np.arange(4))


@pytest.mark.parametrize("level", NOVELTY_LEVELS[:4])
def test_rows_like_those_of_training_are_novel_as_often_as_the_level_says(
    novelty: NoveltyReference, level: float
) -> None:
    found = [novelty.is_novel(row, level=level) for row in panel(1000, seed=5).values]
    assert np.mean(found) <= 1.6 * level


def test_a_row_far_out_or_against_the_correlations_is_novel() -> None:
    rng = np.random.default_rng(0)
    common = rng.normal(size=(8000, 1))
    values = common + 0.1 * rng.normal(size=(8000, 4))
    rows = PanelRows(values, np.repeat(np.arange(1000), 8), np.tile(np.arange(8), 1000))
    found = build_novelty(rows, grid_of(rows), np.arange(4))
    assert not found.is_novel(np.full(4, 1.5), level=0.001)
    assert found.is_novel(np.array([1.5, -1.5, 1.5, -1.5]), level=0.001), "each within its range"
    assert found.is_novel(np.full(4, 50.0), level=0.001)


def test_the_answer_is_that_of_all_rows_at_once(novelty: NoveltyReference) -> None:
    rows = panel(300, seed=8, shift=3.0).values
    outside = novelty.range.outside_shares(rows) > novelty.outside_shares[1]
    far = novelty.range.distances(rows) > novelty.distances[1]
    assert [novelty.is_novel(row, level=0.03) for row in rows] == (outside | far).tolist()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.0])
def test_odd_values_raise_nothing(novelty: NoveltyReference, value: float) -> None:
    novelty.is_novel(np.full(4, value), level=0.05)
    rows = panel(50)
    odd = replaced(rows, np.full(rows.values.shape, value))
    assert not build_novelty(odd, grid_of(odd), np.arange(4)).is_novel(np.zeros(4), level=0.001)


def test_no_level_and_few_rows_find_nothing(novelty: NoveltyReference) -> None:
    far = np.full(4, 1e6)
    assert novelty.is_novel(far, level=0.001)
    assert not novelty.is_novel(far, level=0.0)
    rows = panel(3)
    assert not build_novelty(rows, grid_of(rows), np.arange(4)).is_novel(far, level=0.001)
