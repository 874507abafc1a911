"""The files that stand beside the manifest of a version."""

import polars as pl

from mlengine.core.bars.bars import in_order
from mlengine.core.versions.layout import (
    BARS_FILE,
    CANDIDATE_FILE,
    HOLDOUT_FILE,
    MODEL_FILE,
    OUT_OF_FOLD_FILE,
    UNIVERSE_FILE,
)
from mlengine.services.training.manifest_builder import TrainingResult
from mlengine.services.training.monitoring_files import monitoring_files
from mlengine.stores.system import table_files

_JUDGED = ("symbol", "timestamp", "label", "forward_return")


def version_files(training: TrainingResult) -> dict[str, bytes]:
    """By name: models, bars, what monitoring compares with, and the scores of unseen rows."""
    candidate, universe = training.candidate.fitted, training.bars.universe
    return {
        MODEL_FILE: training.served_model.text.encode(),
        **({CANDIDATE_FILE: candidate.text.encode()} if training.experiment.refit else {}),
        BARS_FILE: table_files.to_parquet(in_order(training.bars.frame)),
        **({UNIVERSE_FILE: universe.content} if universe else {}),
        **monitoring_files(training),
        HOLDOUT_FILE: table_files.to_parquet(_holdout(training)),
        OUT_OF_FOLD_FILE: table_files.to_parquet(_out_of_fold(training)),
    }


def _out_of_fold(training: TrainingResult) -> pl.DataFrame:
    """The rows that the folds were tested on, each with the score of the model of its fold."""
    rows = training.dataset.frame.select(_JUDGED)
    parts = [
        rows[fold.rows.test].with_columns(
            pl.lit(number, pl.Int32).alias("fold"), pl.Series("score", fold.scores, pl.Float64)
        )
        for number, fold in enumerate(training.experiment.folds, start=1)
    ]
    empty = rows.clear().with_columns(fold=pl.lit(1, pl.Int32), score=pl.lit(0.0))
    return pl.concat([empty, *parts])


def _holdout(training: TrainingResult) -> pl.DataFrame:
    """The rows that judge the candidate, with its score."""
    rows = training.dataset.frame[training.candidate.rows.test]
    return rows.select(_JUDGED).with_columns(pl.Series("score", training.candidate.scores))
