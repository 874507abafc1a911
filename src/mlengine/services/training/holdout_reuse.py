"""How often a holdout was used before: each use makes the next result a little less honest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import cast

from mlengine.core.timestamps import parse_rfc3339
from mlengine.services.models.history import readable_manifests
from mlengine.stores.registry.registry import Registry


def count_holdout_uses(
    registry: Registry,
    trainings: Iterable[Mapping[str, object]],
    *,
    start: datetime,
    end: datetime,
) -> int:
    """How many published versions were judged on dates between `start` and `end`, inclusive.

    `trainings` are the details in the history: a version that was pruned, or whose manifest is
    refused, has used its holdout all the same.
    """
    manifests = list(readable_manifests(registry))
    run_ids = {manifest.run_id for manifest in manifests}
    spans = [(each.split.holdout.start, each.split.holdout.end) for each in manifests]
    spans += [
        _holdout(details)
        for details in trainings
        if details["run_id"] not in run_ids and "holdout" in details
    ]
    return sum(first <= end and start <= last for first, last in spans)


def _holdout(details: Mapping[str, object]) -> tuple[datetime, datetime]:
    first, last = cast("list[str]", details["holdout"])
    return parse_rfc3339(first), parse_rfc3339(last)
