"""The page that tells a reader what a version is good for."""

from __future__ import annotations

from dataclasses import dataclass

from mlengine.core.card import card
from mlengine.stores import frames
from mlengine.stores.registry import Registry


@dataclass(frozen=True)
class CardService:
    registry: Registry

    def markdown(self, version: str) -> str:
        """One page of Markdown; raises ModelNotFound or ArtifactCorrupt."""
        manifest = self.registry.manifest(version)
        holdout = frames.from_parquet(self.registry.read(version, "holdout.parquet"))
        return card(manifest, holdout)
