"""How often a holdout was looked at before: each look makes the next one a little less honest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import cast

from mlengine.core.timestamps import parse_rfc3339
from mlengine.core.versions.manifest import Manifest
from mlengine.errors import ArtifactCorrupt, ModelNotFound
from mlengine.stores.registry.registry import Registry


def reused_by(
    registry: Registry,
    trainings: Iterable[Mapping[str, object]],
    *,
    start: datetime,
    end: datetime,
) -> int:
    """How many published versions were judged on dates between `start` and `end`, inclusive.

    `trainings` are what the history keeps of each: one whose version was pruned, or whose manifest
    is refused, has looked all the same.
    """
    here = list(_readable(registry))
    known = {manifest.run_id for manifest in here}
    spans = [(manifest.split.holdout.start, manifest.split.holdout.end) for manifest in here]
    gone = (told for told in trainings if told["run_id"] not in known)
    spans += [_span(told) for told in gone if "holdout" in told]
    return sum(theirs[0] <= end and start <= theirs[1] for theirs in spans)


def _readable(registry: Registry) -> Iterator[Manifest]:
    for version in registry.versions():
        try:
            yield registry.manifest(version)
        except (ArtifactCorrupt, ModelNotFound):
            continue


def _span(told: Mapping[str, object]) -> tuple[datetime, datetime]:
    first, last = cast("list[str]", told["holdout"])
    return parse_rfc3339(first), parse_rfc3339(last)
