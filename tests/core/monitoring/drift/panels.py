"""Rows whose drift is known: features that follow themselves slowly, of several symbols."""

from __future__ import annotations

import numpy as np

from mlengine.core.monitoring.drift.distances import sort_columns
from mlengine.core.monitoring.drift.grid import FeatureGrid
from mlengine.core.monitoring.drift.tallies import PanelRows

NAMES = ("slow", "fast", "steps", "gaps")
SYMBOLS = 8


def panel(dates: int, *, seed: int = 0, first: int = 0, shift: float = 0.0) -> PanelRows:
    """A slow and a fast normal, whole numbers, and one with a tenth of nulls, date by date."""
    rng = np.random.default_rng(seed)
    shape = (dates, SYMBOLS)
    slow = np.cumsum(rng.normal(size=shape), axis=0)
    slow[5:] -= slow[:-5].copy()
    slow += shift
    gaps = np.where(rng.random(shape) < 0.1, np.nan, rng.normal(size=shape))
    columns = (slow, rng.normal(size=shape), rng.integers(0, 4, shape).astype(float), gaps)
    return PanelRows(
        np.stack([column.ravel() for column in columns], axis=1),
        np.repeat(np.arange(first, first + dates), SYMBOLS),
        np.tile(np.arange(SYMBOLS), dates),
    )


def replaced(rows: PanelRows, values: np.ndarray) -> PanelRows:
    return PanelRows(values, rows.dates, rows.symbols)


def column_set(rows: PanelRows, name: str, value: float) -> PanelRows:
    values = rows.values.copy()
    values[:, NAMES.index(name)] = value
    return replaced(rows, values)


def grid_of(rows: PanelRows) -> FeatureGrid:
    return FeatureGrid.of(NAMES, sort_columns(rows.values))
