"""How often a holdout was looked at before: each look makes the next one a little less honest."""

from __future__ import annotations

from datetime import datetime

from mlengine.errors import ArtifactCorrupt, ModelNotFound
from mlengine.stores.registry import Registry


def reused_by(registry: Registry, *, start: datetime, end: datetime) -> int:
    """How many published versions were judged on dates between `start` and `end`, inclusive.

    A version whose manifest is refused, or that is gone by now, isn't counted.
    """
    return sum(_shares(registry, version, start, end) for version in registry.versions())


def _shares(registry: Registry, version: str, start: datetime, end: datetime) -> bool:
    try:
        theirs = registry.manifest(version).split.holdout
    except (ArtifactCorrupt, ModelNotFound):
        return False
    return theirs.start <= end and start <= theirs.end
