"""Comparing versions, and changing which one serves."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from mlengine.core.line_names import version_key
from mlengine.core.monitoring.event import EventKind
from mlengine.core.versions import comparison
from mlengine.core.versions.comparison import Comparison, ScoredVersion
from mlengine.core.versions.layout import HOLDOUT_FILE
from mlengine.core.versions.model_card import render_model_card
from mlengine.errors import ApprovalNeeded, ModelNotFound, NoActiveModel, NoPreviousModel
from mlengine.services.models.catalog import ModelCatalog
from mlengine.services.models.event_recording import record_activation, record_missing_activation
from mlengine.stores.database.events import EventStore
from mlengine.stores.registry.loader import LoadedModel, ModelLoader
from mlengine.stores.system import table_files


@dataclass(frozen=True)
class Activation:
    active_version: str
    previous_version: str | None
    generation: int
    actor: str


@dataclass(frozen=True)
class PendingActivation:
    """An activation that waits for another key; it lapses once any other version is activated."""

    version: str
    state: Literal["pending"]
    requested_by: str
    reason: str


@dataclass(frozen=True)
class ModelService(ModelCatalog):
    """The catalog, and what needs a model in memory or the history.

    With `needs_approval` an activation takes two: who asks for it, and another who confirms it.
    """

    loader: ModelLoader
    events: EventStore
    needs_approval: bool = False

    def request_activation(
        self, version: str, *, actor: str, reason: str, now: datetime
    ) -> Activation | PendingActivation:
        """Activate `version`, or where this needs approval ask for it, or confirm what was asked.

        Raises as `activate`, and ApprovalNeeded where `actor` asked before and nobody else did.
        """
        if not self.needs_approval:
            return self.activate(version, actor=actor, reason=reason, now=now)
        self.loader.load(version)
        active = self.registry.active.read()
        generation = active.generation if active else 0
        requests = self.events.activation_requests(version, after_generation=generation)
        for request in requests:
            if request.actor != actor:
                said = f"{request.details['reason']} (asked by {request.actor})"
                return self.activate(version, actor=actor, reason=said, now=now)
        if requests:
            raise ApprovalNeeded(version, actor)
        details = {"reason": reason, "after_generation": generation}
        self.events.append(
            "activation_requested",
            at=now,
            version=version,
            actor=actor,
            details=details,
            waits_by_itself=True,
        )
        return PendingActivation(version, "pending", actor, reason)

    def compare(self, a: str, b: str) -> Comparison:
        """Two versions side by side; raises ModelNotFound or ArtifactCorrupt."""
        return comparison.compare(self._scored(a), self._scored(b))

    def champion(self) -> ScoredVersion:
        """The active version with its holdout; raises NoActiveModel or ArtifactCorrupt."""
        active = self.registry.active.read()
        if active is None:
            raise NoActiveModel
        return self._scored(active.version)

    def card(self, version: str) -> str:
        """One page of Markdown: what a version is good for; raises as `compare`."""
        scored = self._scored(version)
        return render_model_card(scored.manifest, scored.holdout)

    def activate(
        self,
        version: str,
        *,
        actor: str,
        reason: str,
        now: datetime,
        kind: EventKind = "activated",
    ) -> Activation:
        """Serve `version` from now on; its files are verified and loaded first.

        Raises ModelNotFound, ArtifactCorrupt, FeatureSetMismatch, IntervalMismatch,
        DatabaseUnavailable or RegistryUnavailable, and then nothing has changed.
        """
        self._load_also_of_others(version)
        before = self.active_version()
        record_missing_activation(self.registry.active, self.events)
        active = self.registry.activate(
            version,
            kind=kind,
            actor=actor,
            reason=reason,
            now=now,
            after_generation=max(self.events.recorded_generations(), default=0),
        )
        record_activation(self.events, active, before=before)
        return Activation(version, before, active.generation, actor)

    def rollback(self, *, actor: str, now: datetime) -> Activation:
        """Serve what was active before; a second rollback returns."""
        active = self.registry.active.read()
        if active is None:
            raise NoActiveModel
        if active.previous_version is None:
            raise NoPreviousModel
        return self.activate(
            active.previous_version,
            actor=actor,
            reason=f"rollback from {active.version}",
            now=now,
            kind="rolled_back",
        )

    def _load_also_of_others(self, version: str) -> None:
        """Another host may have published it just now."""
        try:
            self.loader.load(version)
        except ModelNotFound:
            self.registry.refresh()
            self.loader.load(version)

    def require_loadable(self) -> None:
        """Load and verify the active version, if there is one; raises why it can't serve."""
        if self.active_version() is not None:
            self.loader.active()

    def reload(self, *, actor: str, now: datetime) -> LoadedModel:
        """Load and verify the active version again, here and in every other process."""
        loaded = self.loader.reload()
        self.events.append(
            "reloaded",
            at=now,
            version=loaded.version,
            actor=actor,
            details={},
            waits_by_itself=True,
        )
        return loaded

    def _scored(self, version: str) -> ScoredVersion:
        holdout = table_files.from_parquet(self.registry.read(version, HOLDOUT_FILE))
        return ScoredVersion(self.registry.manifest(version), holdout)


def compare_champions(lines: Mapping[str, ModelService]) -> Comparison:
    """The active versions of two lines side by side, named by their keys; raises as `champion`."""
    (a, first), (b, second) = ((name, models.champion()) for name, models in lines.items())
    compared = comparison.compare(first, second)
    return replace(
        compared,
        a=version_key(a, first.manifest.version),
        b=version_key(b, second.manifest.version),
    )
