"""The manifest of a training that has ended, before the registry gives it a version."""

import platform
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import PurePath
from typing import cast

import numpy as np
import polars as pl

import mlengine
from mlengine.core.arrays import Indices
from mlengine.core.bars.bars import panel_hash
from mlengine.core.boosting.model import FittedModel, LightGBMConfig
from mlengine.core.features import FeatureSet
from mlengine.core.promotion.gate import Decision
from mlengine.core.training.dataset import Dataset
from mlengine.core.training.experiment import EvaluatedModel, Experiment
from mlengine.core.training.spec import TrainSpec
from mlengine.core.versions.data_entry import DataEntry, SkippedSymbol
from mlengine.core.versions.manifest import (
    FeatureSetEntry,
    FoldEntry,
    LabelEntry,
    Manifest,
    RowRange,
    SplitEntry,
)
from mlengine.services.training.remarks import remarks
from mlengine.services.training.training_bars import TrainingBars

_KINDS = {"direction": "forward_return_sign", "return": "forward_return"}
_TOO_FEW_BARS = "too few bars for one row"
_NEVER_MEMBER = "no row on a date within its membership of the universe"


@dataclass(frozen=True)
class TrainingResult:
    """What a finished training used and produced."""

    spec: TrainSpec
    config: LightGBMConfig
    feature_set: FeatureSet
    bars: TrainingBars
    dataset: Dataset
    experiment: Experiment
    holdout_reused_by: int
    dropped_features: tuple[str, ...] = ()

    @property
    def candidate(self) -> EvaluatedModel:
        return self.experiment.candidate

    @property
    def served_model(self) -> FittedModel:
        """The model in model.txt."""
        return self.experiment.refit or self.candidate.fitted

    @property
    def served_rows(self) -> Indices:
        """The rows that model.txt was trained on."""
        if self.experiment.refit is None:
            return self.candidate.rows.fit_and_early_stop
        return self.experiment.plan.refit


def build_manifest(
    training: TrainingResult, decision: Decision, *, run_id: str, actor: str, now: datetime
) -> Manifest:
    """Write down `training`; version and file digests are left to the registry."""
    spec, config, candidate = training.spec, training.config, training.candidate
    return Manifest(
        run_id=run_id,
        actor=actor,
        created_at=now,
        as_of=now,
        spec=without_local_path(spec),
        objective=spec.objective,
        horizon_bars=spec.horizon_bars,
        label_delay_bars=spec.label_delay_bars,
        interval=spec.interval,
        feature_set=_feature_set(training.feature_set),
        label=_label(spec),
        seed=config.seed,
        params=config.params,
        num_threads=config.num_threads,
        rounds=config.rounds,
        early_stopping_rounds=config.early_stopping_rounds,
        best_iteration=candidate.fitted.best_iteration,
        data=_data(training),
        split=_split(training),
        folds=tuple(
            _fold(training.dataset, number, fold)
            for number, fold in enumerate(training.experiment.folds, start=1)
        ),
        metrics=candidate.metrics,
        calibration=candidate.evaluation.calibration,
        sign_rule=candidate.evaluation.sign_rule,
        bootstrap=candidate.evaluation.bootstrap,
        verdict=candidate.evaluation.verdict,
        holdout_reused_by=training.holdout_reused_by,
        base_rate=candidate.baseline.up_rate,
        zero_share=float(np.mean(training.dataset.column("forward_return") == 0.0)),
        served="candidate" if training.experiment.refit is None else "refit",
        trained_through=_last_label(training.dataset, training.served_rows),
        candidate_trained_through=_last_label(training.dataset, candidate.rows.fit_and_early_stop),
        selected_through=_selected_through(training, decision),
        importances=training.served_model.importances,
        fingerprint=training.served_model.fingerprint,
        candidate_fingerprint=candidate.fitted.fingerprint,
        libraries=libraries(),
        gate=decision,
        remarks=remarks(training),
        reproducible=spec.is_reproducible,
    )


def _feature_set(feature_set: FeatureSet) -> FeatureSetEntry:
    return FeatureSetEntry(
        name=feature_set.name,
        version=feature_set.version,
        hash=feature_set.hash,
        window_bars=feature_set.window_bars,
        features=feature_set.names,
    )


def without_local_path(spec: TrainSpec) -> TrainSpec:
    """The universe's file by its name alone: anyone may read a manifest."""
    if spec.universe_file is None:
        return spec
    return replace(spec, universe_file=PurePath(spec.universe_file).name)


def _label(spec: TrainSpec) -> LabelEntry:
    return LabelEntry(
        kind=_KINDS[spec.objective],
        horizon_bars=spec.horizon_bars,
        delay_bars=spec.label_delay_bars,
        transform=spec.label,
    )


def _data(training: TrainingResult) -> DataEntry:
    bars, frame = training.bars.frame, training.dataset.frame
    labelled = set(frame["symbol"].unique())
    trained = set(frame[training.served_rows]["symbol"].unique())
    fetched = bars["symbol"].unique().sort().to_list()
    start, end = time_span(bars["timestamp"])
    universe = training.bars.universe
    reason = _TOO_FEW_BARS if universe is None else _NEVER_MEMBER
    unused = (SkippedSymbol(s, reason) for s in fetched if s not in labelled)
    return DataEntry(
        start=start,
        end=end,
        lookback=training.spec.lookback,
        symbols=tuple(symbol for symbol in fetched if symbol in trained),
        holdout_only_symbols=tuple(s for s in fetched if s in labelled - trained),
        skipped_symbols=(*training.bars.skipped, *unused),
        rows=bars.height,
        labelled_rows=frame.height,
        bars_sha256=panel_hash(bars),
        bars_report=training.bars.report,
        survivorship="static list" if universe is None else "universe file",
        universe_sha256=training.bars.universe_sha256,
        series=training.bars.series,
        adjust=training.bars.adjust,
    )


def _split(training: TrainingResult) -> SplitEntry:
    stage = training.candidate.rows
    return SplitEntry(
        test_size=training.spec.test_size,
        embargo_bars=training.spec.embargo_bars,
        fit=_part(training.dataset, stage.fit),
        stop=_part(training.dataset, stage.early_stop),
        holdout=_part(training.dataset, stage.test),
        purged_rows=len(stage.purged_train),
        purged_stop_rows=len(stage.purged_early_stop),
    )


def _fold(dataset: Dataset, number: int, fold: EvaluatedModel) -> FoldEntry:
    train, test = _part(dataset, fold.rows.fit_and_early_stop), _part(dataset, fold.rows.test)
    return FoldEntry(
        fold=number,
        train_start=train.start,
        train_end=train.end,
        test_start=test.start,
        test_end=test.end,
        train_rows=train.rows,
        test_rows=test.rows,
        purged_rows=len(fold.rows.purged_train) + len(fold.rows.purged_early_stop),
        best_iteration=fold.fitted.best_iteration,
        metrics=fold.metrics,
        calibration=fold.evaluation.calibration,
        sign_rule=fold.evaluation.sign_rule,
    )


def _part(dataset: Dataset, rows: Indices) -> RowRange:
    return RowRange(*time_span(dataset.frame["timestamp"][rows]), len(rows))


def _last_label(dataset: Dataset, rows: Indices) -> datetime:
    return cast("datetime", dataset.frame["label_ends"][rows].max())


def _selected_through(training: TrainingResult, decision: Decision) -> datetime | None:
    """A gate that made a test has looked at the holdout's labels, up to the last one."""
    if decision.test is None:
        return None
    return _last_label(training.dataset, training.candidate.rows.test)


def libraries() -> dict[str, str]:
    """The versions that a result may depend on, by name."""
    return {
        "lightgbm": version("lightgbm"),
        "mlengine": mlengine.__version__,
        "numpy": np.__version__,
        "polars": pl.__version__,
        "python": platform.python_version(),
    }


def time_span(timestamps: pl.Series) -> tuple[datetime, datetime]:
    """The first and the last of some timestamps; not for an empty column."""
    return cast("datetime", timestamps.min()), cast("datetime", timestamps.max())
