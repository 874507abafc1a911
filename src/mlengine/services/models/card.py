"""The page that tells a reader what a version is good for."""

from __future__ import annotations

from dataclasses import dataclass

from mlengine.core.versions.card import card
from mlengine.core.versions.layout import HOLDOUT_FILE
from mlengine.stores.registry.registry import Registry
from mlengine.stores.system import table_files


@dataclass(frozen=True)
class CardService:
    registry: Registry

    def markdown(self, version: str) -> str:
        """One page of Markdown; raises ModelNotFound or ArtifactCorrupt."""
        manifest = self.registry.manifest(version)
        holdout = table_files.from_parquet(self.registry.read(version, HOLDOUT_FILE))
        return card(manifest, holdout)
