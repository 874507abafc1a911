"""From a recipe to a draft version: bars, features, folds, the fit, and the gate's decision."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from mlengine.core.boosting.model import DEFAULT_PARAMS, LightGBMConfig
from mlengine.core.features import FeatureSet
from mlengine.core.features.variants import has_signed_prices, set_for_bars
from mlengine.core.runs.progress import Progress, ProgressTracker
from mlengine.core.training import dataset as datasets
from mlengine.core.training import experiment as experiments
from mlengine.core.training.dataset import Dataset
from mlengine.core.training.fit_cluster import FitCluster
from mlengine.core.training.params import (
    FEWEST_SYMBOLS,
    NEEDS_CLUSTER,
    invalid_label_reason,
    invalid_params,
)
from mlengine.core.training.row_plan import RowPlan, plan_rows
from mlengine.core.training.spec import DASK, TrainSpec
from mlengine.core.versions.data_entry import SeriesEntry
from mlengine.core.versions.manifest import Manifest
from mlengine.errors import TrainingFailed
from mlengine.services.bars.service import BarService
from mlengine.services.models.event_recording import HoldoutUses, count_holdout_uses
from mlengine.services.training.fold_fan_out import RunFanOut, TrainingFanOut
from mlengine.services.training.leak_check import refuse_leaks
from mlengine.services.training.manifest_builder import (
    TrainingResult,
    build_manifest,
    time_span,
    without_local_path,
)
from mlengine.services.training.promotion import PromotionGate
from mlengine.services.training.training_bars import labels_across_holes, load_training_bars
from mlengine.services.training.version_files import version_files
from mlengine.stores.database.events import EventStore
from mlengine.stores.registry.registry import Registry
from mlengine.stores.training.feature_spill import SpillFolder


@dataclass(frozen=True)
class DraftVersion:
    """What is to be published: `manifest`, without version and digests, and the `files` beside it.

    The metrics describe the model in candidate.txt where that is another one than is served (a
    refit).
    """

    manifest: Manifest
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class TrainingPipeline:
    bars: BarService
    feature_sets: Mapping[str, FeatureSet]
    registry: Registry
    num_threads: int
    events: EventStore
    max_model_age_days: int = 0
    spills: SpillFolder | None = None
    fan_out: TrainingFanOut | None = None
    cluster: FitCluster | None = None

    @property
    def _gate(self) -> PromotionGate:
        return PromotionGate(self.registry, self.feature_sets, self.events, self.max_model_age_days)

    def run(
        self,
        spec: TrainSpec,
        *,
        run_id: str,
        actor: str,
        now: datetime,
        progress: Callable[[Progress], None],
    ) -> DraftVersion:
        """Carry out `spec` on the bars known at `now`; what `progress` raises ends the run.

        Raises TrainingFailed with a reason for the owner, also for a feature set that leaks, or
        what the upstream raises.
        """
        tracker = ProgressTracker(progress)
        _refuse_contradictions(spec)
        cluster = self._cluster(spec)
        symbols = dict.fromkeys(map(self.bars.markets.canonical, spec.symbols))
        spec = replace(spec, symbols=tuple(symbols))
        feature_set = self._feature_set(spec)
        bars = load_training_bars(
            self.bars, spec, window_bars=feature_set.window_bars, now=now, tracker=tracker
        )
        tracker.advance("features")
        refuse_leaks(feature_set, bars.frame)
        suited = _suited(feature_set, bars.frame, spec)
        dropped_features = tuple(name for name in feature_set.names if name not in suited.names)
        dataset = build_dataset(
            bars.frame,
            suited,
            spec,
            members=bars.members,
            series=bars.series,
            spills=self.spills,
        )
        config = _model_config(spec, self.num_threads)
        plan = plan_rows(dataset, spec)
        uses = self._holdout_uses(dataset, plan, without_local_path(spec), suited)
        with self._fan_out(run_id, spec) as fan_out:
            experiment = experiments.run(
                dataset,
                plan,
                config,
                spec=spec,
                refit=spec.refit == "full",
                tracker=tracker,
                recipes=uses.recipes + 1,
                fan_out=fan_out,
                cluster=cluster,
            )
        tracker.advance("publish")
        training = TrainingResult(
            spec, config, suited, bars, dataset, experiment, uses.versions, dropped_features
        )
        decision = self._gate.decide(training, now=now)
        manifest = build_manifest(training, decision, run_id=run_id, actor=actor, now=now)
        return DraftVersion(manifest, version_files(training))

    def _cluster(self, spec: TrainSpec) -> FitCluster | None:
        """What fits the trees of `spec`, where this process doesn't."""
        if spec.engine != DASK:
            return None
        if self.cluster is None:
            raise TrainingFailed(f"the engine {DASK} {NEEDS_CLUSTER} where the training runs")
        return self.cluster

    def _fan_out(self, run_id: str, spec: TrainSpec) -> AbstractContextManager[RunFanOut | None]:
        if self.fan_out is None or spec.engine == DASK:
            return nullcontext()
        return self.fan_out.of_run(run_id, spec.folds)

    def _holdout_uses(
        self, dataset: Dataset, plan: RowPlan, spec: TrainSpec, feature_set: FeatureSet
    ) -> HoldoutUses:
        start, end = time_span(dataset.frame["timestamp"][plan.candidate.test])
        return count_holdout_uses(
            self.registry,
            self.events.trainings(),
            start=start,
            end=end,
            recipe=spec.recipe_sha256(feature_set.hash),
        )

    def _feature_set(self, spec: TrainSpec) -> FeatureSet:
        if spec.feature_set not in self.feature_sets:
            names = ", ".join(sorted(self.feature_sets))
            raise TrainingFailed(f"there is no feature set {spec.feature_set!r}; known are {names}")
        return self.feature_sets[spec.feature_set]


def _suited(feature_set: FeatureSet, bars: pl.DataFrame, spec: TrainSpec) -> FeatureSet:
    """The features of the set that these bars can have: not all markets have volume."""
    if spec.objective == "return" and has_signed_prices(bars):
        raise TrainingFailed("the objective return needs prices above zero: use direction")
    suited = set_for_bars(feature_set, bars)
    if not suited.features:
        needing = ", ".join(feature_set.names)
        raise TrainingFailed(f"each feature needs volume or prices above zero: {needing}")
    return suited


def build_dataset(
    bars: pl.DataFrame,
    feature_set: FeatureSet,
    spec: TrainSpec,
    *,
    members: pl.DataFrame | None,
    series: Sequence[SeriesEntry],
    spills: SpillFolder | None = None,
) -> Dataset:
    """The rows that `spec` learns from; raises TrainingFailed when there are none.

    Features that are too large for memory go to `spills`; ArtifactsUnavailable when they can't.
    """
    dataset = datasets.build(
        bars,
        feature_set,
        horizon_bars=spec.horizon_bars,
        delay_bars=spec.label_delay_bars,
        objective=spec.objective,
        label_transform=spec.label,
        members=members,
        across_holes=labels_across_holes(bars, series, spec),
        spill=spills.spill_for(bars, feature_set.names) if spills else None,
    )
    if dataset.frame.is_empty():
        raise TrainingFailed(_no_rows_reason(feature_set, spec, limited=members is not None))
    return dataset


def _no_rows_reason(feature_set: FeatureSet, spec: TrainSpec, *, limited: bool) -> str:
    needed = feature_set.window_bars + spec.horizon_bars + spec.label_delay_bars
    text = f"no symbol has the {needed} bars that one labelled row needs"
    if limited:
        text += " on a date within its membership of the universe"
    if spec.label == "cs_zscore":
        text += f"; cs_zscore also needs {FEWEST_SYMBOLS} such symbols, not all alike, on one date"
    return text


def _refuse_contradictions(spec: TrainSpec) -> None:
    """A door refuses these with more words; a recipe may also come from elsewhere."""
    reasons = [f"{name} {why}" for name, why in invalid_params(spec.params).items()]
    if label := invalid_label_reason(spec):
        reasons.append(label)
    if reasons:
        raise TrainingFailed("; ".join(reasons))


def _model_config(spec: TrainSpec, num_threads: int) -> LightGBMConfig:
    params = {**DEFAULT_PARAMS, **spec.params}
    return LightGBMConfig(spec.objective, spec.seed, num_threads, rounds=spec.rounds, params=params)
