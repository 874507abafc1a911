"""What is active in each model line, and how it does, as gauges."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Engine

from mlengine.core.line_names import MODEL_LINE, version_key
from mlengine.core.telemetry.families import LINE_MODEL_INFO, MODEL_AGE, Sample, Samples
from mlengine.errors import ArtifactsUnavailable, DatabaseUnavailable, MlengineError
from mlengine.services.lines.directory import LineDirectory
from mlengine.services.monitoring.drift import DriftService
from mlengine.services.telemetry.drift_gauges import drift_gauges
from mlengine.services.telemetry.skill_gauges import SkillGauges
from mlengine.stores.outcomes.skill_store import SkillStore
from mlengine.stores.registry.registry import Registry

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LineGauges:
    """By the registry and the database: no model is loaded for it.

    A registry that hosts share is asked for what is active, while it `is_reachable`. `drift_of`
    gives the drift of a line, whose registry it is handed. Age, drift and skill of `main` are told
    by others.
    """

    directory: LineDirectory
    engine: Engine
    open_registry: Callable[[str], Registry]
    is_reachable: Callable[[], bool]
    drift_of: Callable[[str, Registry], DriftService]
    _registries: dict[str, Registry] = field(default_factory=dict, init=False, repr=False)
    _drifts: dict[str, DriftService] = field(default_factory=dict, init=False, repr=False)
    _trained_at: dict[str, datetime] = field(default_factory=dict, init=False, repr=False)

    def read(self, now: datetime) -> Sequence[Samples]:
        """Of every line that serves; raises DatabaseUnavailable."""
        found: list[Samples] = []
        for line in (MODEL_LINE, *(each.name for each in self.directory.active())):
            for reader in (self._model, self._drift, self._skill):
                try:
                    found += reader(line, now)
                except DatabaseUnavailable:
                    raise
                except MlengineError as error:  # what can't be read is not to hide the rest
                    log.debug("metrics not read", extra={"line": line, "reason": str(error)})
        return found

    def _model(self, line: str, now: datetime) -> Iterator[Samples]:
        registry = self._registry(line)
        if line != MODEL_LINE and registry.is_shared and self.is_reachable():
            with suppress(ArtifactsUnavailable):
                registry.refresh(active_only=True)
        active = registry.active.read_or_none()
        if active is None:
            return
        key = version_key(line, active.version)
        yield Samples(LINE_MODEL_INFO, [Sample((key, line), 1.0)])
        if line == MODEL_LINE:
            return
        if key not in self._trained_at:  # manifests never change
            self._trained_at[key] = registry.manifest(active.version).created_at
        age = (now - self._trained_at[key]).total_seconds()
        yield Samples(MODEL_AGE, [Sample((line,), age)])

    def _drift(self, line: str, now: datetime) -> Sequence[Samples]:
        if line == MODEL_LINE:
            return ()
        if line not in self._drifts:
            self._drifts[line] = self.drift_of(line, self._registry(line))
        return drift_gauges(self._drifts[line], now, line)

    def _skill(self, line: str, now: datetime) -> Sequence[Samples]:
        if line == MODEL_LINE:
            return ()
        return SkillGauges(SkillStore(self.engine, line), self._registry(line).active).read(now)

    def _registry(self, line: str) -> Registry:
        if line not in self._registries:
            self._registries[line] = self.open_registry(line)
        return self._registries[line]
