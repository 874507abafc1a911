"""Answers how a version does in production, beside what its training promised."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from mlengine.core.monitoring.skill.report import Skill, tell_skill
from mlengine.core.outcomes.report import Coverage, Performance, PerformanceReport, TrainedFigures
from mlengine.core.versions.manifest import Manifest
from mlengine.services.outcomes.earlier_champion import EarlierChampion
from mlengine.services.outcomes.judging import UnseenRowsReader
from mlengine.services.outcomes.reporting import PerformanceReporter, Selection
from mlengine.stores.outcomes.reports import ReportStore
from mlengine.stores.outcomes.skill_store import SkillStore
from mlengine.stores.registry.loader import ModelLoader
from mlengine.stores.registry.registry import Registry

_MOST_CACHED = 256
# So many rows are computed while a client waits; of more, what is kept is told.
_MOST_ROWS_AT_ONCE = 10_000


class _Figures(NamedTuple):
    revision: int
    report: PerformanceReport
    symbols: list[str] | None


@dataclass(frozen=True)
class PerformanceService:
    """`_cache` has the figures of this process by version and selection, until newer outcomes.

    With them the symbols that were selected, None where all are.
    """

    reporter: PerformanceReporter
    reports: ReportStore
    skills: SkillStore
    unseen: UnseenRowsReader
    earlier: EarlierChampion
    registry: Registry
    loader: ModelLoader
    _cache: dict[tuple[str, Selection], _Figures] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def performance(
        self,
        *,
        version: str | None,
        window: int,
        symbol: str | None,
        group: str | None,
        now: datetime,
    ) -> Performance:
        """Of a version, by default the active one; raises ModelNotFound or NoActiveModel."""
        manifest = self._manifest(version)
        symbol = self.reporter.markets.canonical(symbol) if symbol else None
        selection = Selection(window, symbol, group)
        found = self._figures(manifest, selection, now)
        report = found.report
        figures = {name: value for name, value in vars(report).items() if name != "decided"}
        return Performance(
            model_version=manifest.version,
            objective=manifest.objective,
            horizon_bars=manifest.horizon_bars,
            window=window,
            symbol=symbol,
            group=group,
            coverage=self._coverage(manifest.version, found, now),
            training=TrainedFigures(
                manifest.metrics,
                manifest.verdict,
                manifest.split.holdout.start,
                manifest.split.holdout.end,
                manifest.base_rate,
            ),
            skill=self._skill(manifest),
            **figures,
        )

    def _skill(self, manifest: Manifest) -> Skill:
        """The evidence about a version so far; raises ArtifactCorrupt."""
        stored = self.skills.read(manifest.version)
        record = self.unseen.record(manifest, stored[1] if stored else None)
        compared = self.earlier.of(manifest)
        return tell_skill(record, version=compared.version, reason=compared.reason)

    def _manifest(self, version: str | None) -> Manifest:
        model = None if version else self.loader.active()
        return model.manifest if model else self.registry.manifest(str(version))

    def _figures(self, manifest: Manifest, selection: Selection, now: datetime) -> _Figures:
        key = manifest.version, selection
        revision = self.reporter.outcomes.revision(manifest.version)
        cached = self._cache.get(key)
        if cached and cached.revision == revision:
            return cached
        symbols = self.reporter.symbols(manifest.version, selection)
        if selection.group and symbols == self.reporter.outcomes.symbols(manifest.version):
            found = self._figures(manifest, Selection(selection.window), now)
            self._cache[key] = found  # they are all in it
            return found
        kept = self.reports.read(manifest.version, selection.window) if selection.is_kept else None
        if kept and (kept.revision == revision or self._is_large(kept.report())):
            revision, report = kept.revision, kept.report()
        else:
            report = self.reporter.compute(manifest, selection, now=now)
        if len(self._cache) >= _MOST_CACHED:
            self._cache.clear()
        self._cache[key] = _Figures(revision, report, symbols)
        return self._cache[key]

    def _is_large(self, report: PerformanceReport) -> bool:
        return report.rows > _MOST_ROWS_AT_ONCE

    def _coverage(self, version: str, figures: _Figures, now: datetime) -> Coverage:
        decided = figures.report.decided
        pending, not_due = self.reporter.outcomes.pending(version, now=now, symbols=figures.symbols)
        due = decided.scored + decided.void + pending
        return Coverage(
            due,
            decided.scored,
            decided.void,
            pending,
            not_due,
            decided.late,
            decided.void_reasons,
        )
