"""The comparison and the card of published versions, from their stored files alone."""

from __future__ import annotations

from mlengine.core.versions.card import card
from mlengine.core.versions.comparison import Comparison, ScoredVersion, compare
from mlengine.core.versions.layout import HOLDOUT_FILE
from mlengine.stores.registry.registry import Registry
from mlengine.stores.system import table_files


def compare_versions(registry: Registry, a: str, b: str) -> Comparison:
    """Two versions side by side; raises ModelNotFound or ArtifactCorrupt."""
    return compare(_scored(registry, a), _scored(registry, b))


def model_card(registry: Registry, version: str) -> str:
    """One page of Markdown: what a version is good for. Raises ModelNotFound or ArtifactCorrupt."""
    scored = _scored(registry, version)
    return card(scored.manifest, scored.holdout)


def _scored(registry: Registry, version: str) -> ScoredVersion:
    holdout = table_files.from_parquet(registry.read(version, HOLDOUT_FILE))
    return ScoredVersion(registry.manifest(version), holdout)
