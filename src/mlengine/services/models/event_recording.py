"""Which version was trained and which served when: the events behind both, and what they count."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from mlengine.core.timestamps import parse_rfc3339, rfc3339
from mlengine.core.versions.manifest import Manifest
from mlengine.errors import ArtifactCorrupt, DatabaseUnavailable, ModelNotFound
from mlengine.stores.database.events import EventStore
from mlengine.stores.registry.active import ActiveFile, ActiveVersion
from mlengine.stores.registry.registry import Registry

log = logging.getLogger(__name__)


def record_training(events: EventStore, manifest: Manifest, *, actor: str, now: datetime) -> None:
    """Write that a version was published, and what the gate decided."""
    details = _training_details(manifest)
    events.append("trained", at=now, version=manifest.version, actor=actor, details=details)


def record_missing_trainings(registry: Registry, events: EventStore) -> None:
    """Write the event of each version whose training was killed before it could.

    Else neither its use of the holdout nor its test would count. Raises DatabaseUnavailable.
    """
    recorded = {details["run_id"] for details in events.trainings()}
    for manifest in readable_manifests(registry):
        if manifest.run_id not in recorded:
            record_training(events, manifest, actor=manifest.actor, now=manifest.created_at)


def readable_manifests(registry: Registry) -> Iterator[Manifest]:
    """The manifests of all versions, without those that are refused or just pruned."""
    for version in registry.versions():
        with suppress(ArtifactCorrupt, ModelNotFound):
            yield registry.manifest(version)


@dataclass(frozen=True)
class HoldoutUses:
    """How many `versions` were judged on some of the same dates, and how many other `recipes`."""

    versions: int
    recipes: int


def count_holdout_uses(
    registry: Registry,
    trainings: Iterable[Mapping[str, object]],
    *,
    start: datetime,
    end: datetime,
    recipe: str | None = None,
) -> HoldoutUses:
    """The published versions that were judged on dates between `start` and `end`, inclusive.

    Each use makes the next result a little less honest. `trainings` are the details in the
    history: a version that was pruned, or whose manifest is refused, has used its holdout too. The
    `recipe` that asks is none of the others; a training whose recipe was not kept is one by itself.
    """
    manifests = list(readable_manifests(registry))
    run_ids = {manifest.run_id for manifest in manifests}
    uses = [
        (each.split.holdout.start, each.split.holdout.end, manifest_recipe(each))
        for each in manifests
    ]
    for details in trainings:
        if details["run_id"] not in run_ids and "holdout" in details:
            first, last = map(parse_rfc3339, cast("list[str]", details["holdout"]))
            uses.append((first, last, str(details.get("recipe", details["run_id"]))))
    same_dates = [each for first, last, each in uses if first <= end and start <= last]
    return HoldoutUses(len(same_dates), len(set(same_dates) - {recipe}))


def manifest_recipe(manifest: Manifest) -> str:
    """The digest of what a version was asked to be."""
    return manifest.spec.recipe_sha256(manifest.feature_set.hash)


def record_activation(events: EventStore, active: ActiveVersion, *, before: str | None) -> None:
    """Write the event of an activation; each generation has one at most.

    `ACTIVE` holds already, so a failure is only logged: the next start, or the next activation,
    writes the event.
    """
    try:
        _append(events, active, before)
    except DatabaseUnavailable as error:
        log.warning(
            "activation not recorded yet",
            extra={"generation": active.generation, "reason": str(error)},
        )


def record_missing_activation(file: ActiveFile, events: EventStore) -> bool:
    """Write the event of an activation whose process could not; raises DatabaseUnavailable."""
    active = file.read_or_none()
    if active is None or active.generation in events.recorded_generations():
        return False
    _append(events, active, active.previous_version)
    return True


def _append(events: EventStore, active: ActiveVersion, before: str | None) -> None:
    events.append(
        active.kind,
        at=active.activated_at,
        version=active.version,
        actor=active.actor,
        details={"reason": active.reason, "previous_version": before},
        generation=active.generation,
        waits_by_itself=True,
    )


def _training_details(manifest: Manifest) -> dict[str, object]:
    """The details of a training in the history.

    By them the gate counts its tests, and the next training the earlier uses of its holdout, also
    of versions that are pruned.
    """
    gate, test, holdout = manifest.gate, manifest.gate.test, manifest.split.holdout
    return {
        "run_id": manifest.run_id,
        "holdout": [rfc3339(holdout.start), rfc3339(holdout.end)],
        "recipe": manifest_recipe(manifest),
        "verdict": manifest.verdict.verdict,
        "promoted": gate.promote,
        "reason": gate.reason,
        "fingerprint": manifest.fingerprint,
        "policy": gate.policy,
        "losses": dict(gate.losses),
        "champion": gate.champion,
        "champion_generation": gate.champion_generation,
        "tested": test is not None,
        "mean_difference": test and test.mean_difference,
        "statistic": test and test.statistic,
        "p_value": test and test.p_value,
        "level": test and test.level,
        "decisions": test and test.decisions,
        "dates": test and test.dates,
    }
