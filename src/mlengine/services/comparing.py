"""Two published versions side by side, from what was stored with them; asks no upstream."""

from __future__ import annotations

from mlengine.core.comparison import Comparison, Scored, compare
from mlengine.stores import frames
from mlengine.stores.registry import Registry


def compare_versions(registry: Registry, a: str, b: str) -> Comparison:
    """Raises ModelNotFound or ArtifactCorrupt."""
    return compare(_scored(registry, a), _scored(registry, b))


def _scored(registry: Registry, version: str) -> Scored:
    holdout = frames.from_parquet(registry.read(version, "holdout.parquet"))
    return Scored(registry.manifest(version), holdout)
