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
from mlengine.services.monitoring.drift_updates import alarms_of
from mlengine.services.telemetry.drift_gauges import alarm_gauges
from mlengine.services.telemetry.skill_gauges import SkillGauges
from mlengine.stores.monitoring.drift_store import DriftStore
from mlengine.stores.outcomes.skill_store import SkillStore
from mlengine.stores.registry.registry import Registry

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LineGauges:
    """By the registry and the database: no model is loaded for it.

    A registry that hosts share is asked for what is active, while it `is_reachable`; `level` is
    what the evidence of a drift alarm must pass. Age, drift and skill of `main` are told by others.
    """

    directory: LineDirectory
    engine: Engine
    open_registry: Callable[[str], Registry]
    is_reachable: Callable[[], bool]
    level: float
    _registries: dict[str, Registry] = field(default_factory=dict, init=False, repr=False)
    _trained_at: dict[str, datetime] = field(default_factory=dict, init=False, repr=False)

    def read(self, now: datetime) -> Sequence[Samples]:
        """Of every line that serves; raises DatabaseUnavailable."""
        found: list[Samples] = []
        for line in (MODEL_LINE, *(each.name for each in self.directory.active())):
            try:
                found += self._of(line, now)
            except DatabaseUnavailable:
                raise
            except MlengineError as error:  # one line is not to hide the others
                log.debug("metrics not read", extra={"line": line, "reason": str(error)})
        return found

    def _of(self, line: str, now: datetime) -> Iterator[Samples]:
        registry = self._registry(line)
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
        yield from self._drift_alarm(line, active.version)
        yield from SkillGauges(SkillStore(self.engine, line), registry.active).read(now)

    def _registry(self, line: str) -> Registry:
        if line not in self._registries:
            self._registries[line] = self.open_registry(line)
        registry = self._registries[line]
        if line != MODEL_LINE and registry.is_shared and self.is_reachable():
            with suppress(ArtifactsUnavailable):
                registry.refresh(active_only=True)
        return registry

    def _drift_alarm(self, line: str, version: str) -> Sequence[Samples]:
        state = alarms_of(DriftStore(self.engine, line).progress(version)).sequential
        return alarm_gauges(
            line, version, e_value=state.e_value, level=self.level, alarms=state.alarms
        )
