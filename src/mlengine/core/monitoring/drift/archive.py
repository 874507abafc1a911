"""The arrays that a version's references are stored as, and back; the file is another's business.

Every array has one type and one shape, by the number of features, and no other array is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from mlengine.core.arrays import Floats
from mlengine.core.monitoring.drift.calibration import (
    PAST_DIFFERS,
    TOO_FEW_WINDOWS,
    DriftCalibration,
)
from mlengine.core.monitoring.drift.grid import GRID_BINS, FeatureGrid
from mlengine.core.monitoring.drift.model_reference import ModelReference
from mlengine.core.monitoring.drift.reference import DriftReference
from mlengine.core.monitoring.drift.tallies import DateTallies
from mlengine.core.monitoring.drift.window_measures import MEASURES
from mlengine.core.monitoring.novelty import NOVELTY_LEVELS, NoveltyReference, RowRange

Array = npt.NDArray[np.generic]
Arrays = Mapping[str, Array]

_FORMAT = 1
_REASONS = (None, TOO_FEW_WINDOWS, PAST_DIFFERS)
_BY_FEATURE = ("means", "scales", "ks_thresholds", "psi_thresholds")
_OF_GRID = ("edges", "least", "greatest")
_OF_TOTAL = ("rows", "distinct", "bins", "repeats", "outside", "spreads", "spread_dates")
_OF_RANGE = ("least", "greatest", "centre", "scale", "whiten")


class DamagedArchive(ValueError):
    """The arrays are not those of a reference."""


def arrays_of_model(reference: ModelReference) -> dict[str, Array]:
    """As `model_of_arrays` takes them."""
    arrays: dict[str, Array] = {"format": np.array([_FORMAT], np.int64)}
    for name, columns in (("features", reference.features), ("prediction", reference.prediction)):
        arrays |= {f"{name}.{each}": array for each, array in _arrays_of(columns).items()}
    return arrays | ({} if reference.losses is None else {"losses": reference.losses})


def model_of_arrays(arrays: Arrays) -> ModelReference:
    """The inverse of `arrays_of_model`; raises DamagedArchive."""
    reader = _Reader(arrays)
    if reader.integers("format", 1)[0] != _FORMAT:
        raise DamagedArchive("another format")
    features, prediction = (_reference(reader, f"{name}.") for name in ("features", "prediction"))
    losses = reader.floats("losses", GRID_BINS) if "losses" in arrays else None
    reader.require_all_taken()
    return ModelReference(features, prediction, losses)


def arrays_of_novelty(novelty: NoveltyReference) -> dict[str, Array]:
    """As `novelty_of_arrays` takes them."""
    of_range = {f"range.{name}": getattr(novelty.range, name) for name in _OF_RANGE}
    own = {name: getattr(novelty, name) for name in ("columns", "distances", "outside_shares")}
    return own | of_range


def novelty_of_arrays(arrays: Arrays, *, features: int) -> NoveltyReference:
    """The inverse of `arrays_of_novelty`, for vectors of so many; raises DamagedArchive."""
    reader = _Reader(arrays)
    columns = reader.integers("columns", None)
    if len(columns) and not 0 <= columns.min() <= columns.max() < features:
        raise DamagedArchive("columns")
    count, levels = len(columns), len(NOVELTY_LEVELS)
    shapes = [(count,)] * 4 + [(count, count)]
    of_range = (
        reader.floats(f"range.{name}", *shape)
        for name, shape in zip(_OF_RANGE, shapes, strict=True)
    )
    novelty = NoveltyReference(
        columns,
        RowRange(*of_range),
        reader.floats("distances", levels),
        reader.floats("outside_shares", levels),
    )
    reader.require_all_taken()
    return novelty


def _arrays_of(reference: DriftReference) -> dict[str, Array]:
    windows, runs = reference.calibrations, reference.longest_runs
    names = reference.grid.names
    stacked = {
        name: np.array([getattr(each, name) for each in windows], np.float64)
        for name in (*_BY_FEATURE, "threshold", "alpha")
    }
    numbers = [
        (w.window_dates, w.gap_dates, w.windows, w.sliding_windows, _REASONS.index(w.reason))
        for w in windows
    ]
    return {
        "names": np.array(names, np.str_),
        **{name: getattr(reference.grid, name) for name in _OF_GRID},
        **{f"total.{name}": np.float64(getattr(reference.total, name)) for name in _OF_TOTAL},
        "rows": np.array([reference.rows], np.int64),
        "rows_a_date": np.array([reference.rows_a_date]),
        "longest_runs": np.zeros(len(names), np.int64) if runs is None else runs,
        "windows": np.array(numbers, np.int64).reshape(len(windows), 5),
        "scores": np.concatenate([np.zeros(0), *(w.scores for w in windows)]),
        **stacked,
    }


def _reference(reader: _Reader, prefix: str) -> DriftReference:
    names = reader.texts(f"{prefix}names")
    count = len(names)
    grid = FeatureGrid(
        names,
        reader.floats(f"{prefix}edges", count, GRID_BINS - 1),
        reader.floats(f"{prefix}least", count),
        reader.floats(f"{prefix}greatest", count),
    )
    shapes = [(1,), (1,), (1, count, GRID_BINS), *[(1, count)] * 4]
    total = (
        reader.floats(f"{prefix}total.{name}", *shape)
        for name, shape in zip(_OF_TOTAL, shapes, strict=True)
    )
    return DriftReference(
        grid,
        DateTallies(np.zeros(1, np.int64), *total),
        rows=int(reader.integers(f"{prefix}rows", 1)[0]),
        rows_a_date=float(reader.floats(f"{prefix}rows_a_date", 1)[0]),
        calibrations=tuple(_calibrations(reader, prefix, count)),
        longest_runs=reader.integers(f"{prefix}longest_runs", count),
    )


def _calibrations(reader: _Reader, prefix: str, features: int) -> Sequence[DriftCalibration]:
    numbers = reader.integers(f"{prefix}windows", None, 5)
    if not (len(numbers) and numbers.min() >= 0 and numbers[:, 4].max() < len(_REASONS)):
        raise DamagedArchive(f"{prefix}windows")
    windows, measures = len(numbers), (features, len(MEASURES))
    means, scales = (
        reader.floats(f"{prefix}{name}", windows, *measures) for name in _BY_FEATURE[:2]
    )
    ks, psi = (reader.floats(f"{prefix}{name}", windows, features) for name in _BY_FEATURE[2:])
    threshold, alpha = (
        reader.floats(f"{prefix}{name}", windows) for name in ("threshold", "alpha")
    )
    ends = np.cumsum(numbers[:, 2])
    scores = reader.floats(f"{prefix}scores", int(ends[-1]))
    return [
        DriftCalibration(
            window_dates=int(numbers[at, 0]),
            gap_dates=int(numbers[at, 1]),
            alpha=float(alpha[at]),
            windows=int(numbers[at, 2]),
            sliding_windows=int(numbers[at, 3]),
            means=means[at],
            scales=scales[at],
            threshold=float(threshold[at]),
            ks_thresholds=ks[at],
            psi_thresholds=psi[at],
            scores=scores[ends[at] - numbers[at, 2] : ends[at]],
            reason=_REASONS[numbers[at, 4]],
        )
        for at in range(windows)
    ]


class _Reader:
    """Takes arrays by name, each with the type and shape that it must have."""

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays
        self._taken: set[str] = set()

    def floats(self, name: str, *shape: int | None) -> Floats:
        array: Floats = self._take(name, "f", shape)  # type: ignore[assignment]
        if np.isnan(array).any():
            raise DamagedArchive(name)
        return array

    def integers(self, name: str, *shape: int | None) -> npt.NDArray[np.int64]:
        return self._take(name, "i", shape)  # type: ignore[return-value]

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(self._take(name, "U", (None,)).tolist())

    def require_all_taken(self) -> None:
        if unknown := set(self._arrays) - self._taken:
            raise DamagedArchive(min(unknown))

    def _take(self, name: str, kind: str, shape: tuple[int | None, ...]) -> Array:
        array = self._arrays.get(name)
        if array is None or array.dtype.kind != kind or array.ndim != len(shape):
            raise DamagedArchive(name)
        if kind != "U" and array.dtype.itemsize != 8:
            raise DamagedArchive(name)
        if any(want not in (None, have) for want, have in zip(shape, array.shape, strict=True)):
            raise DamagedArchive(name)
        self._taken.add(name)
        return array
