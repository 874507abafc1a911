"""What a version is given for the monitoring of what it will be asked."""

import numpy as np
import polars as pl

from mlengine.core.arrays import Floats, Indices
from mlengine.core.monitoring.drift.archive import arrays_of_model, arrays_of_novelty
from mlengine.core.monitoring.drift.distances import sort_columns
from mlengine.core.monitoring.drift.log_loss import expected_losses
from mlengine.core.monitoring.drift.model_reference import PREDICTION, ModelReference
from mlengine.core.monitoring.drift.reference import DriftReference, build_reference
from mlengine.core.monitoring.drift.sketch import sketch
from mlengine.core.monitoring.drift.tallies import PanelRows
from mlengine.core.monitoring.novelty import build_novelty
from mlengine.core.timestamps import DAY_MICROSECONDS
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
    rows = _panel(training, training.served_rows, names)
    samples = sort_columns(rows.values)
    features = build_reference(names, rows, window_bars=window_bars, samples=samples)
    scored = _unseen_scores(training)
    prediction = build_reference((PREDICTION,), scored, window_bars=window_bars)
    reference = ModelReference(features, prediction, _losses(training, scored, prediction))
    sorted_scores = sort_columns(scored.values)[0]
    columns = {**dict(zip(names, samples, strict=True)), PREDICTION: sorted_scores}
    novelty = build_novelty(rows, features.grid, places)
    return {
        REFERENCE_FILE: table_files.to_parquet(sketch(columns, rows=len(rows.dates))),
        DRIFT_FILE: array_files.to_archive(arrays_of_model(reference)),
        NOVELTY_FILE: array_files.to_archive(arrays_of_novelty(novelty)),
    }


def _panel(training: TrainingResult, rows: Indices, names: tuple[str, ...]) -> PanelRows:
    features = training.dataset.features(rows).select(pl.col(names).fill_null(float("nan")))
    return PanelRows(features.to_numpy(), *_dates_and_symbols(training, rows))


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
