"""What the drift of a version is measured against, read once and kept."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from mlengine.core.arrays import Floats, Indices
from mlengine.core.monitoring.drift.archive import DamagedArchive, model_of_arrays
from mlengine.core.monitoring.drift.distances import SortedSample, sort_columns
from mlengine.core.monitoring.drift.model_reference import PREDICTION, ModelReference
from mlengine.core.monitoring.drift.reference import reference_of_sketch
from mlengine.core.monitoring.drift.sketch import ROWS_BEHIND
from mlengine.core.versions.layout import DRIFT_FILE, REFERENCE_FILE
from mlengine.core.versions.manifest import Manifest
from mlengine.errors import ArtifactCorrupt
from mlengine.stores.audit.live_vectors import ScoredVersion
from mlengine.stores.registry.registry import Registry
from mlengine.stores.system import array_files, table_files
from mlengine.stores.system.strict_files import DamagedFile

_MOST_KEPT = 8


@dataclass(frozen=True)
class VersionReference:
    """The reference of a version, and whose predictions are held against it.

    `columns` are the places of the reference's features in a vector; `unwatched` are the features
    that are none of them.
    """

    scored: ScoredVersion
    reference: ModelReference
    columns: Indices
    unwatched: tuple[str, ...]

    def values(self, vectors: Floats, scores: Floats) -> Floats:
        """Columns of the reference's grid: watched features, and the score last."""
        return np.column_stack([vectors[:, self.columns], scores])


@dataclass(frozen=True)
class DriftReferences:
    """Of published versions; those that were used last stay in memory."""

    registry: Registry
    _kept: dict[str, VersionReference] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, version: str) -> VersionReference:
        """Raises ModelNotFound or ArtifactCorrupt."""
        with self._lock:
            kept = self._kept.pop(version, None) or self._read(version)
            self._kept[version] = kept
            while len(self._kept) > _MOST_KEPT:
                self._kept.pop(next(iter(self._kept)))
        return kept

    def sketch(self, version: str) -> dict[str, SortedSample]:
        """The order statistics of each column; raises as `get`."""
        samples = _samples(self._sketch_frame(version))
        if not set(self.get(version).reference.grid.names) <= set(samples):
            raise ArtifactCorrupt(version, f"{REFERENCE_FILE} is of other features")
        return samples

    def _read(self, version: str) -> VersionReference:
        manifest = self.registry.manifest(version)
        if DRIFT_FILE in manifest.files:
            reference = self._calibrated(version)
        else:
            reference = _of_sketch(self._sketch_frame(version))
        names, watched = manifest.feature_set.features, reference.features.grid.names
        if not set(watched) <= set(names):
            raise ArtifactCorrupt(version, f"{DRIFT_FILE} is of other features")
        columns = np.array([names.index(name) for name in watched], np.int64)
        unwatched = tuple(name for name in names if name not in watched)
        return VersionReference(_scored(manifest), reference, columns, unwatched)

    def _calibrated(self, version: str) -> ModelReference:
        content = self.registry.read(version, DRIFT_FILE)
        try:
            return model_of_arrays(array_files.from_archive(content))
        except (DamagedFile, DamagedArchive):
            raise ArtifactCorrupt(version, f"{DRIFT_FILE} is not what a training writes") from None

    def _sketch_frame(self, version: str) -> pl.DataFrame:
        content = self.registry.read(version, REFERENCE_FILE)
        try:
            return table_files.from_parquet(content)
        except pl.exceptions.PolarsError:
            raise ArtifactCorrupt(version, f"{REFERENCE_FILE} is no table") from None


def _of_sketch(frame: pl.DataFrame) -> ModelReference:
    """Of a version from before there were calibrations."""
    samples = _samples(frame)
    rows = int(frame[ROWS_BEHIND][0]) if ROWS_BEHIND in frame.columns and len(frame) else len(frame)
    score = samples.pop(PREDICTION)
    features = reference_of_sketch(tuple(samples), tuple(samples.values()), rows=rows)
    return ModelReference(features, reference_of_sketch((PREDICTION,), (score,), rows=rows))


def _samples(frame: pl.DataFrame) -> dict[str, SortedSample]:
    numbers = frame.select(pl.exclude("symbol", "timestamp", ROWS_BEHIND).cast(pl.Float64))
    values = numbers.fill_null(float("nan")).to_numpy()
    return dict(zip(numbers.columns, sort_columns(values), strict=True))


def _scored(manifest: Manifest) -> ScoredVersion:
    return ScoredVersion(
        manifest.version,
        manifest.feature_set.hash,
        manifest.interval,
        len(manifest.feature_set.features),
    )
