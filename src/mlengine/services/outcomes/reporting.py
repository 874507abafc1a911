"""Computes the figures of live performance, and keeps those that are asked for most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from mlengine.core.calendars.market import MarketDirectory
from mlengine.core.evaluation import Evaluation, Verdict
from mlengine.core.outcomes.outcome import LATE, SCORED, VOID
from mlengine.core.outcomes.performance import (
    ScoredOutcomes,
    evaluate_outcomes,
    figures_by_bar,
    figures_by_part,
)
from mlengine.core.outcomes.report import (
    INSUFFICIENT_DATA,
    OK,
    WINDOWS,
    DecidedCounts,
    PerformanceReport,
)
from mlengine.core.timestamps import EPOCH
from mlengine.core.versions.manifest import Manifest
from mlengine.errors import ArtifactCorrupt, ModelNotFound
from mlengine.services.outcomes.judging import judge_of
from mlengine.stores.outcomes.reports import ReportStore
from mlengine.stores.outcomes.scored import ScoredReader
from mlengine.stores.registry.registry import Registry

_NO_CALENDAR = "none"
_MOST_BARS = 250
# Of the time that passes, what may go into figures that have become old.
_SHARE_OF_TIME = 1 / 30


@dataclass(frozen=True)
class Selection:
    """Of which outcomes: the window in dates, and one symbol, or those of one calendar."""

    window: int
    symbol: str | None = None
    group: str | None = None

    @property
    def is_kept(self) -> bool:
        """Whether the update computes the figures beforehand."""
        return self.symbol is None and self.group is None


@dataclass(frozen=True)
class PerformanceReporter:
    """Computes figures from scored outcomes; a group is the symbols of one calendar."""

    outcomes: ScoredReader
    markets: MarketDirectory

    def group_of(self, symbol: str) -> str:
        calendar = self.markets.market(symbol).calendar
        return calendar.name if calendar else _NO_CALENDAR

    def compute(
        self, manifest: Manifest, selection: Selection, *, now: datetime
    ) -> PerformanceReport:
        """Of the newest dates with a scored outcome; nothing is scored twice."""
        version, judge = manifest.version, judge_of(manifest)
        since = self.outcomes.first_bar(version, dates=selection.window) or 0
        outcomes = self.outcomes.read(version, since=since, symbol=selection.symbol)
        if selection.group is not None:
            mine = [self.group_of(str(each)) == selection.group for each in outcomes.symbols]
            outcomes = outcomes.take(np.flatnonzero(mine))
        evaluation = evaluate_outcomes(outcomes, judge)
        groups = np.array([self.group_of(str(each)) for each in outcomes.symbols], dtype=np.str_)
        return PerformanceReport(
            status=OK if evaluation else INSUFFICIENT_DATA,
            computed_at=now,
            first_bar=_moment(outcomes, 0),
            last_bar=_moment(outcomes, -1),
            rows=outcomes.rows,
            dates=len(np.unique(outcomes.days)),
            symbols=len(np.unique(outcomes.symbols)),
            metrics=evaluation.metrics if evaluation else {},
            calibration=evaluation.calibration if evaluation else None,
            sign_rule=evaluation.sign_rule if evaluation else None,
            bootstrap=evaluation.bootstrap if evaluation else None,
            verdict=_verdict(evaluation),
            by_symbol=tuple(figures_by_part(outcomes, judge, outcomes.symbols)),
            by_group=tuple(figures_by_part(outcomes, judge, groups)),
            by_bar=tuple(figures_by_bar(outcomes, judge))[-_MOST_BARS:],
            decided=self._decided(version, since, self.symbols(version, selection)),
        )

    def symbols(self, version: str, selection: Selection) -> list[str] | None:
        """Those that are selected; None where all are."""
        if selection.symbol is None and selection.group is None:
            return None
        every = [selection.symbol] if selection.symbol else self.outcomes.symbols(version)
        if selection.group is None:
            return every
        return [symbol for symbol in every if self.group_of(symbol) == selection.group]

    def _decided(self, version: str, since: int, symbols: list[str] | None) -> DecidedCounts:
        counts = self.outcomes.counts(version, since=since, symbols=symbols)
        states: Counter[str] = Counter()
        for each in counts:
            states[each.state] += each.rows
        reasons = {each.reason or "": each.rows for each in counts if each.state == VOID}
        return DecidedCounts(states[SCORED], states[VOID], states[LATE], reasons)


@dataclass(frozen=True)
class ReportStep:
    """Keeps the figures of each version and window that has newer outcomes."""

    reporter: PerformanceReporter
    store: ReportStore
    registry: Registry
    timer: Callable[[], float]

    @property
    def name(self) -> str:
        return "performance"

    def run(self, now: datetime) -> datetime | None:
        """Figures that took long are computed again later, when the step looks at them next."""
        for version, revision in self.reporter.outcomes.versions().items():
            with suppress(ModelNotFound, ArtifactCorrupt):
                self._update(version, revision, now)
        return None

    def _update(self, version: str, revision: int, now: datetime) -> None:
        for window in WINDOWS:
            stored = self.store.read(version, window)
            if stored and not stored.is_worth_renewing(revision, now, share=_SHARE_OF_TIME):
                continue
            started = self.timer()
            manifest = self.registry.manifest(version)
            report = self.reporter.compute(manifest, Selection(window), now=now)
            seconds = self.timer() - started
            self.store.write(version, window, report, revision=revision, seconds=seconds)


def _verdict(evaluation: Evaluation | None) -> Verdict | None:
    """None before there are dates enough for an interval: it would be one on nothing."""
    verdict = evaluation.verdict if evaluation else None
    return verdict if verdict and verdict.low is not None else None


def _moment(outcomes: ScoredOutcomes, row: int) -> datetime | None:
    if not outcomes.rows:
        return None
    return EPOCH + timedelta(microseconds=int(outcomes.timestamps[row]))
