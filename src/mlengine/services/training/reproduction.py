"""Training a version again from its stored bars, or writing out the rows behind it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import cast

import orjson
import polars as pl

from mlengine.core import serialization
from mlengine.core.bars.bars import panel_hash
from mlengine.core.bars.intervals import interval_end
from mlengine.core.boosting.model import LightGBMConfig
from mlengine.core.features import FeatureSet
from mlengine.core.runs.progress import Progress, ProgressTracker
from mlengine.core.runs.run import Run
from mlengine.core.training import experiment as experiments
from mlengine.core.training.dataset import Dataset
from mlengine.core.training.row_plan import RowPlan, plan_rows
from mlengine.core.training.split_roles import split_role_table
from mlengine.core.versions.layout import BARS_FILE, UNIVERSE_FILE
from mlengine.core.versions.manifest import Manifest
from mlengine.errors import CannotWrite, TrainingFailed, UnknownSymbol
from mlengine.services.bars.service import BarService
from mlengine.services.runs.lease import Lease
from mlengine.services.training.manifest_builder import libraries
from mlengine.services.training.pipeline import build_dataset
from mlengine.stores.bars.universe import parse_universe
from mlengine.stores.registry.loader import require_feature_set
from mlengine.stores.registry.registry import Registry
from mlengine.stores.system import atomic_files, table_files
from mlengine.stores.training.feature_spill import SpillFolder

NOT_REPRODUCIBLE = "was fitted by a cluster, which may give other trees each time"


@dataclass(frozen=True)
class ReproductionDifference:
    """`what` is `bars`, a fingerprint or a library; null where there is none."""

    what: str
    recorded: str | None
    found: str | None


@dataclass(frozen=True)
class UpstreamComparison:
    """Whether the upstream's bars of the same symbols and span are the recorded ones."""

    same: bool
    bars_sha256: str
    changed_symbols: tuple[str, ...]


@dataclass(frozen=True)
class Reproduction:
    """`identical`: both fingerprints are the recorded ones; `differences` also names libraries.

    `upstream` is null unless it was asked.
    """

    version: str
    identical: bool
    fingerprint: str
    reproduced: str
    candidate_fingerprint: str
    candidate_reproduced: str
    bars_sha256: str
    differences: tuple[ReproductionDifference, ...]
    upstream: UpstreamComparison | None


@dataclass(frozen=True)
class RecordedTraining:
    """What a version was trained on; `dataset` is built again from its stored bars."""

    manifest: Manifest
    bars: pl.DataFrame
    dataset: Dataset

    @property
    def plan(self) -> RowPlan:
        """The cuts of the training, which its recipe alone decides."""
        return plan_rows(self.dataset, self.manifest.spec)


@dataclass(frozen=True)
class DatasetExport:
    """`rows` counts labelled rows, each of which has a line for every fold that it is part of."""

    version: str
    path: str
    rows: int
    features: int
    folds: int


@dataclass(frozen=True)
class ReproductionService:
    registry: Registry
    feature_sets: Mapping[str, FeatureSet]
    bars: BarService
    num_threads: int
    spills: SpillFolder | None = None

    def run(self, run: Run, lease: Lease) -> Mapping[str, object]:
        """Carry out a run of the kind `reproduce`, whose spec names a version."""
        version = str(orjson.loads(run.spec)["version"])
        result = serialization.to_plain(self.reproduce(version, lease.progress))
        return cast("Mapping[str, object]", result)

    def reproduce(
        self,
        version: str,
        progress: Callable[[Progress], None],
        *,
        upstream_at: datetime | None = None,
    ) -> Reproduction:
        """Train the recorded recipe again on the recorded bars; publishes nothing.

        With `upstream_at`, the present moment, the upstream is asked as well whether its bars
        still are the recorded ones. Raises ModelNotFound, ArtifactCorrupt, FeatureSetMismatch when
        the features are not what they were, TrainingFailed for a version that can't be reproduced,
        and what `progress` raises.
        """
        if not self.registry.manifest(version).reproducible:
            raise TrainingFailed(f"{version} {NOT_REPRODUCIBLE}")
        tracker = ProgressTracker(progress)
        tracker.advance("features")
        recorded = self.load_recorded(version)
        manifest = recorded.manifest
        candidate, refit = experiments.fit_without_evaluation(
            recorded.dataset,
            recorded.plan,
            _model_config(manifest, self.num_threads),
            refit=manifest.served == "refit",
            tracker=tracker,
        )
        reproduced = (refit or candidate).fingerprint
        differences = tuple(
            _differences(manifest, reproduced, candidate.fingerprint, panel_hash(recorded.bars))
        )
        return Reproduction(
            version=version,
            identical=not any("fingerprint" in each.what for each in differences),
            fingerprint=manifest.fingerprint,
            reproduced=reproduced,
            candidate_fingerprint=manifest.candidate_fingerprint,
            candidate_reproduced=candidate.fingerprint,
            bars_sha256=manifest.data.bars_sha256,
            differences=differences,
            upstream=self._upstream(recorded, upstream_at) if upstream_at else None,
        )

    def export_dataset(self, version: str, path: Path) -> DatasetExport:
        """Write features, labels, fold and role (see `split_role_table`) to a Parquet file.

        Raises as `load_recorded`, and CannotWrite.
        """
        recorded = self.load_recorded(version)
        dataset, plan = recorded.dataset, recorded.plan
        try:
            table_files.stream_parquet(split_role_table(dataset, plan), path)
        except OSError as error:
            raise CannotWrite(str(path), atomic_files.describe_error(error)) from error
        names = dataset.feature_names
        return DatasetExport(version, str(path), dataset.frame.height, len(names), len(plan.folds))

    def load_recorded(self, version: str) -> RecordedTraining:
        """The rows of a version, built again; raises as `reproduce`, or TrainingFailed."""
        manifest = self.registry.manifest(version)
        if BARS_FILE not in manifest.files:
            raise TrainingFailed(f"no bars were stored beside {version}")
        feature_set = require_feature_set(self.feature_sets, manifest)
        bars = table_files.from_parquet(self.registry.read(version, BARS_FILE))
        dataset = build_dataset(
            bars,
            feature_set,
            manifest.spec,
            members=self._members(manifest),
            series=manifest.data.series,
            spills=self.spills,
        )
        return RecordedTraining(manifest, bars, dataset)

    def _members(self, manifest: Manifest) -> pl.DataFrame | None:
        if UNIVERSE_FILE not in manifest.files:
            return None
        content = self.registry.read(manifest.version, UNIVERSE_FILE)
        return parse_universe(content, name=UNIVERSE_FILE).members

    def _upstream(self, recorded: RecordedTraining, now: datetime) -> UpstreamComparison:
        """Bars that came later are left out; what was revised or filled in since shows."""
        manifest, blocks, changed = recorded.manifest, [], []
        as_of = min(max(manifest.as_of, interval_end(manifest.data.end, manifest.interval)), now)
        for symbol in sorted(manifest.spec.symbols):
            stored = recorded.bars.filter(pl.col("symbol") == symbol)
            served = self._history(symbol, stored, manifest.spec.lookback, as_of, now)
            blocks.append(served)
            if panel_hash(stored) != panel_hash(served):
                changed.append(symbol)
        bars_sha256 = panel_hash(pl.concat(blocks))
        same = bars_sha256 == manifest.data.bars_sha256
        return UpstreamComparison(same, bars_sha256, tuple(changed))

    def _history(
        self, symbol: str, stored: pl.DataFrame, lookback: int, as_of: datetime, now: datetime
    ) -> pl.DataFrame:
        try:
            # A symbol that had no bars yet is asked for as of then, and has none again.
            served = self.bars.fetch_bypassing_store_as_of(
                symbol, bars=0, as_of=as_of, now=now
            ).frame()
        except UnknownSymbol:
            return stored.clear()
        if not stored.is_empty():
            served = served.filter(pl.col("timestamp") <= stored["timestamp"].max())
        return served.tail(lookback) if lookback else served


def _model_config(manifest: Manifest, num_threads: int) -> LightGBMConfig:
    return LightGBMConfig(
        manifest.objective,
        manifest.seed,
        num_threads,
        rounds=manifest.rounds,
        early_stopping_rounds=manifest.early_stopping_rounds,
        params=manifest.params,
    )


def _differences(
    manifest: Manifest, fingerprint: str, candidate: str, bars_sha256: str
) -> Iterator[ReproductionDifference]:
    pairs = [
        ("fingerprint", manifest.fingerprint, fingerprint),
        ("candidate fingerprint", manifest.candidate_fingerprint, candidate),
        ("bars", manifest.data.bars_sha256, bars_sha256),
        *((name, manifest.libraries.get(name), here) for name, here in libraries().items()),
    ]
    for what, recorded, reproduced in pairs:
        if recorded != reproduced:
            yield ReproductionDifference(what, recorded, reproduced)
