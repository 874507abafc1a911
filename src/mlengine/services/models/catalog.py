"""Which versions there are and which one serves, from the files of the registry alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from mlengine.core import evaluation
from mlengine.core.evaluation import MetricEstimate
from mlengine.core.versions.manifest import Manifest
from mlengine.errors import ArtifactCorrupt
from mlengine.stores.registry.registry import Registry


@dataclass(frozen=True)
class ModelSummary:
    """One line of the list; nothing but the name is known of a version that is refused."""

    version: str
    status: str
    is_active: bool
    pinned: bool = False
    created_at: datetime | None = None
    trained_through: datetime | None = None
    fingerprint: str | None = None
    metrics: Mapping[str, MetricEstimate] | None = None
    verdict: evaluation.Verdict | None = None
    reproducible: bool | None = None


@dataclass(frozen=True)
class ModelList:
    active_version: str | None
    models: tuple[ModelSummary, ...]


@dataclass(frozen=True)
class ModelCatalog:
    """Loads no model."""

    registry: Registry

    def list(self) -> ModelList:
        """Every version in numeric order; a refused one is listed as `corrupt`."""
        active = self.active_version()
        pinned = self.registry.pins.read_or_empty()
        summaries = (
            self._summary(version, version == active, version in pinned)
            for version in self.registry.versions()
        )
        return ModelList(active, tuple(summaries))

    def get(self, version: str) -> tuple[Manifest, bool]:
        """The manifest, and whether it is the active version's."""
        return self.registry.manifest(version), version == self.active_version()

    def active_version(self) -> str | None:
        """What `ACTIVE` names, whether or not it can be loaded; None when it can't be read."""
        active = self.registry.active.read_or_none()
        return active.version if active else None

    def _summary(self, version: str, is_active: bool, pinned: bool) -> ModelSummary:
        try:
            manifest = self.registry.manifest(version)
        except ArtifactCorrupt:
            return ModelSummary(version, "corrupt", is_active, pinned)
        return ModelSummary(
            version,
            "active" if is_active else "available",
            is_active,
            pinned,
            created_at=manifest.created_at,
            trained_through=manifest.trained_through,
            fingerprint=manifest.fingerprint,
            metrics=manifest.metrics,
            verdict=manifest.verdict,
            reproducible=manifest.reproducible,
        )
