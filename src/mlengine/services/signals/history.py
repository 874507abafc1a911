"""What a version's training said of the past: scores of rows that their model had not seen."""

from dataclasses import dataclass

import polars as pl

from mlengine.core.signals.panel import PANEL_SCHEMA, past_panel
from mlengine.core.signals.signal import SignalQuery
from mlengine.core.versions.layout import HOLDOUT_FILE, OUT_OF_FOLD_FILE
from mlengine.core.versions.manifest import Manifest
from mlengine.errors import ModelNotFound, NoActiveModel
from mlengine.stores.database.events import EventStore
from mlengine.stores.registry.loader import ModelLoader
from mlengine.stores.registry.registry import Registry
from mlengine.stores.system import table_files

# Which rows the files of a training have.
_SOURCES = {OUT_OF_FOLD_FILE: "out_of_fold", HOLDOUT_FILE: "holdout"}


@dataclass(frozen=True)
class History:
    """The past of a version; without `has_folds` it was trained before their scores were kept."""

    version: str
    has_folds: bool
    panel: pl.DataFrame


@dataclass(frozen=True)
class HistoryReader:
    """Reads what the trainings of one line left."""

    registry: Registry
    loader: ModelLoader
    events: EventStore

    def read(self, asked: SignalQuery) -> History | None:
        """Of the version that is asked for, else of that which serves, or served at `as_of`.

        None where it was not made yet, or what served is pruned by now. Raises ModelNotFound for a
        version that is asked for, or as `ModelLoader.active` does for one that can't serve.
        """
        manifest = self._manifest(asked)
        if manifest is None or (asked.as_of is not None and manifest.created_at > asked.as_of):
            return None
        parts = [self._part(manifest, name, asked) for name in _SOURCES if name in manifest.files]
        panel = pl.concat([pl.DataFrame(schema=PANEL_SCHEMA), *parts])
        return History(manifest.version, OUT_OF_FOLD_FILE in manifest.files, panel)

    def _manifest(self, asked: SignalQuery) -> Manifest | None:
        if asked.version is not None:
            return self.registry.manifest(asked.version)
        version = self._serving(asked)
        try:
            return None if version is None else self.registry.manifest(version)
        except ModelNotFound:
            return None

    def _serving(self, asked: SignalQuery) -> str | None:
        if asked.as_of is not None:
            return self.events.active_at(asked.as_of)
        try:
            return self.loader.active().version
        except NoActiveModel:
            return None

    def _part(self, manifest: Manifest, name: str, asked: SignalQuery) -> pl.DataFrame:
        rows = table_files.from_parquet(self.registry.read(manifest.version, name))
        if asked.symbol is not None:
            rows = rows.filter(pl.col("symbol") == asked.symbol)
        if asked.since is not None:
            rows = rows.filter(pl.col("timestamp") >= asked.since)
        if asked.until is not None:
            rows = rows.filter(pl.col("timestamp") < asked.until)
        return past_panel(
            rows,
            version=manifest.version,
            source=_SOURCES[name],
            objective=manifest.objective,
            made_at=manifest.created_at,
        )
