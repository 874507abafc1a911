"""The version that served before another one, and what it says of the same features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlengine.core.promotion.gate import learning_task
from mlengine.core.versions.manifest import Manifest
from mlengine.errors import MlengineError
from mlengine.stores.audit.reader import AuditReader
from mlengine.stores.database.events import EventStore
from mlengine.stores.outcomes.store import OtherScore
from mlengine.stores.registry.loader import LoadedModel, ModelLoader


@dataclass(frozen=True)
class Comparison:
    """`model` is None where the two can't be compared, for the `reason`."""

    version: str | None
    model: LoadedModel | None
    reason: str | None


@dataclass(frozen=True)
class EarlierChampion:
    """Scores what a version scored with the one that served before it."""

    loader: ModelLoader
    events: EventStore
    audit: AuditReader

    def of(self, manifest: Manifest) -> Comparison:
        """Whom a version is compared with; raises DatabaseUnavailable."""
        version = self.events.served_before(manifest.version)
        if version is None:
            return Comparison(None, None, "no_earlier_champion")
        try:
            model = self.loader.get(version)
        except MlengineError as error:
            return Comparison(version, None, error.code)
        if model.manifest.feature_set.hash != manifest.feature_set.hash:
            return Comparison(version, None, "other_features")
        if _question(model.manifest) != _question(manifest):
            return Comparison(version, None, "other_label")
        return Comparison(version, model, None)

    def scores(
        self, manifest: Manifest, vector_ids: Mapping[int, int | None]
    ) -> dict[int, OtherScore]:
        """By the number of the outcome, of those whose vector is in the audit still."""
        model = self.of(manifest).model
        if model is None:
            return {}
        wanted = [vector for vector in vector_ids.values() if vector is not None]
        vectors = self.audit.vectors_by_id(wanted)
        rows = [row for row, vector in vector_ids.items() if vector in vectors]
        return self._scored(model, rows, [vectors[vector_ids[row]] for row in rows])  # type: ignore[index]

    def _scored(
        self, model: LoadedModel, rows: Sequence[int], vectors: Sequence[np.ndarray]
    ) -> dict[int, OtherScore]:
        if not rows:
            return {}
        scores = model.scorer.score(np.ascontiguousarray(np.stack(vectors)))
        return {
            row: OtherScore(model.version, float(score))
            for row, score in zip(rows, scores, strict=True)
        }


def _question(manifest: Manifest) -> object:
    return learning_task(manifest.spec, universe_sha256=None).without_universe
