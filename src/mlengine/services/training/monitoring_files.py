"""What a version is given for the monitoring of what it will be asked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np
import polars as pl

from mlengine.core.arrays import Floats, Indices
from mlengine.core.monitoring.drift.archive import arrays_of_model, arrays_of_novelty
from mlengine.core.monitoring.drift.distances import sort_column
from mlengine.core.monitoring.drift.grid import FeatureGrid
from mlengine.core.monitoring.drift.log_loss import expected_losses
from mlengine.core.monitoring.drift.model_reference import PREDICTION, ModelReference
from mlengine.core.monitoring.drift.reference import DriftReference, build_reference
from mlengine.core.monitoring.drift.sketch import order_statistics, sketch_table
from mlengine.core.monitoring.drift.tallies import PanelRows
from mlengine.core.monitoring.novelty import build_novelty
from mlengine.core.timestamps import DAY_MICROSECONDS
from mlengine.core.training.dataset import Dataset
from mlengine.core.versions.layout import DRIFT_FILE, NOVELTY_FILE, REFERENCE_FILE
from mlengine.services.training.manifest_builder import TrainingResult
from mlengine.stores.system import array_files, table_files


def monitoring_files(training: TrainingResult) -> dict[str, bytes]:
    """The references of drift and novelty by the rows that model.txt was trained on, and a sketch.

    Raw price levels are watched by none of them.
    """
    feature_set, window_bars = training.feature_set, training.feature_set.window_bars
    names = feature_set.scale_free_names
    places = np.array([feature_set.names.index(name) for name in names], np.int64)
    rows = _DatasetPanel.of(training, training.served_rows, names)
    grid, columns = _grid_and_sketch(rows)
    features = build_reference(names, rows, window_bars=window_bars, grid=grid)
    scored = _unseen_scores(training)
    prediction = build_reference((PREDICTION,), scored, window_bars=window_bars)
    reference = ModelReference(features, prediction, _losses(training, scored, prediction))
    scores = sort_column(scored.values[:, 0])
    columns[PREDICTION] = order_statistics(scores, rows=len(rows.dates))
    return {
        REFERENCE_FILE: table_files.to_parquet(sketch_table(columns, rows=len(rows.dates))),
        DRIFT_FILE: array_files.to_archive(arrays_of_model(reference)),
        NOVELTY_FILE: array_files.to_archive(arrays_of_novelty(build_novelty(rows, grid, places))),
    }


@dataclass(frozen=True)
class _DatasetPanel:
    """Some rows of a dataset, a column at a time: there may be more than memory holds."""

    dataset: Dataset
    rows: Indices
    names: tuple[str, ...]
    dates: Indices
    symbols: Indices

    @classmethod
    def of(cls, training: TrainingResult, rows: Indices, names: tuple[str, ...]) -> _DatasetPanel:
        return cls(training.dataset, rows, names, *_dates_and_symbols(training, rows))

    @property
    def features(self) -> int:
        return len(self.names)

    def column(self, feature: int) -> Floats:
        return self.dataset.feature(self.names[feature], self.rows)

    def every(self, step: int) -> Floats:
        places = [self.dataset.feature_names.index(name) for name in self.names]
        blocks = [block[:, places] for block in self.dataset.blocks(self.rows[::step])]
        return np.concatenate([np.empty((0, len(places))), *blocks])


def _grid_and_sketch(panel: _DatasetPanel) -> tuple[FeatureGrid, dict[str, Floats]]:
    """Each column is sorted once, and let go of."""
    grids, columns = [FeatureGrid.of((), ())], dict[str, Floats]()
    for feature, name in enumerate(panel.names):
        sample = sort_column(panel.column(feature))
        grids.append(FeatureGrid.of((name,), (sample,)))
        columns[name] = order_statistics(sample, rows=len(panel.rows))
    return reduce(FeatureGrid.joined, grids), columns


def _unseen_scores(training: TrainingResult) -> PanelRows:
    """Of the tests of the folds and of the holdout, each by a model that had not seen the row."""
    models = (*training.experiment.folds, training.candidate)
    rows = np.concatenate([model.rows.test for model in models])
    scores = np.concatenate([model.scores for model in models])
    return PanelRows(scores[:, None], *_dates_and_symbols(training, rows))


def _dates_and_symbols(training: TrainingResult, rows: Indices) -> tuple[Indices, Indices]:
    dates = training.dataset.times("timestamp")[rows] // DAY_MICROSECONDS
    symbols = training.dataset.frame["symbol"].rank("dense").cast(pl.Int64).to_numpy()[rows]
    return dates, symbols


def _losses(
    training: TrainingResult, scored: PanelRows, prediction: DriftReference
) -> Floats | None:
    """By the calibration of the holdout; as the scores say themselves where none was fitted."""
    if training.spec.objective != "direction":
        return None
    fit = training.candidate.evaluation.calibration
    slope, intercept = (None, None) if fit is None else (fit.slope.value, fit.intercept.value)
    return expected_losses(
        scored.values[:, 0],
        prediction.grid,
        slope=1.0 if slope is None else slope,
        intercept=0.0 if intercept is None else intercept,
    )
