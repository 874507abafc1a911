"""The step of the monitoring update that holds live predictions against what happened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.outcomes.decide import known_after
from mlengine.core.outcomes.outcome import SCORED, VOID, Outcome, PendingOutcome
from mlengine.core.versions.manifest import Manifest
from mlengine.errors import ArtifactCorrupt, MlengineError, ModelNotFound
from mlengine.services.outcomes.earlier_champion import EarlierChampion
from mlengine.services.outcomes.reader import OutcomeReader, label_terms
from mlengine.stores.outcomes.answers import Answer, AnswerReader
from mlengine.stores.outcomes.store import DueOutcome, OtherScore, OutcomeStore
from mlengine.stores.registry.registry import Registry

ANSWERS_AT_ONCE = 10_000
_OUTCOMES_AT_ONCE = 20_000
# An answer that comes so long after its bar was asked about the past, whatever closures there are.
_LONGEST_CLOSURE = timedelta(days=14)
_SOONEST_RETRY, _LATEST_RETRY = timedelta(minutes=1), timedelta(hours=1)
_RETRIES_A_BAR = 24

# Of each version, or why it has none.
_Manifests = dict[str, Manifest | MlengineError]


@dataclass(frozen=True)
class OutcomeStep:
    """Takes in the audit's live predictions, and decides those whose outcome is due."""

    answers: AnswerReader
    store: OutcomeStore
    registry: Registry
    reader: OutcomeReader
    earlier: EarlierChampion

    @property
    def name(self) -> str:
        return "outcomes"

    def run(self, now: datetime) -> datetime | None:
        """Returns when the next outcome is due."""
        manifests: _Manifests = {}
        self._take_in(manifests)
        while due := self.store.due(now=now, limit=_OUTCOMES_AT_ONCE):
            by_version: dict[str, list[DueOutcome]] = defaultdict(list)
            for each in due:
                by_version[each.model_version].append(each)
            for version, outcomes in by_version.items():
                self._decide(self._manifest(version, manifests), outcomes, now)
        return self.store.next_look()

    def _take_in(self, manifests: _Manifests) -> None:
        position = self.answers.position()
        while True:
            read, reached = self.answers.read_after(position, limit=ANSWERS_AT_ONCE)
            if reached == position:
                return
            first = {
                (each.model_version, each.symbol, each.bar_timestamp): each
                for each in reversed(read)
                if not _is_about_the_past(each)
            }
            live = sorted(first.values(), key=lambda each: each.seq)
            self.store.take_in(self._with_moments(live, manifests), position=reached)
            position = reached

    def _with_moments(
        self, answers: Sequence[Answer], manifests: _Manifests
    ) -> list[tuple[Answer, datetime, datetime]]:
        """Each with the moments when its outcome is due and overdue by its calendar."""
        if not answers:
            return []
        calendars = self.reader.bars.calendars(sorted({each.symbol for each in answers}))
        timed = []
        for each in answers:
            manifest = self._manifest(each.model_version, manifests)
            bars = label_terms(manifest).label_bars if isinstance(manifest, Manifest) else 1
            width, calendar = INTERVALS[each.interval], calendars[each.symbol]
            due_at = known_after(calendar, each.bar_timestamp, bars, width)
            overdue_at = known_after(calendar, each.bar_timestamp, bars + 1, width)
            timed.append((each, due_at, overdue_at))
        return timed

    def _manifest(self, version: str, manifests: _Manifests) -> Manifest | MlengineError:
        if version not in manifests:
            try:
                manifests[version] = self.registry.manifest(version)
            except (ModelNotFound, ArtifactCorrupt) as error:
                manifests[version] = error
        return manifests[version]

    def _decide(
        self, manifest: Manifest | MlengineError, due: Sequence[DueOutcome], now: datetime
    ) -> None:
        pending = [each.pending for each in due]
        others: Mapping[int, OtherScore] = {}
        if isinstance(manifest, Manifest):
            decided = list(self.reader.decide(manifest, pending, now=now))
            others = self._scores_of_earlier_champion(manifest, decided, due)
        else:
            gone = pending if isinstance(manifest, ModelNotFound) else []
            decided = [Outcome(each.id, VOID, "version_gone") for each in gone]
        done = {each.id for each in decided}
        postponed = {each.id: _look_again(each, now) for each in pending if each.id not in done}
        version = due[0].model_version
        self.store.decide(version, decided, others, postponed=postponed, now=now)

    def _scores_of_earlier_champion(
        self, manifest: Manifest, decided: Sequence[Outcome], due: Sequence[DueOutcome]
    ) -> Mapping[int, OtherScore]:
        scored = {each.id for each in decided if each.state == SCORED}
        vectors = {each.pending.id: each.vector_id for each in due if each.pending.id in scored}
        return self.earlier.scores(manifest, vectors)


def _is_about_the_past(answer: Answer) -> bool:
    return (
        answer.asked_at - answer.bar_timestamp > 3 * INTERVALS[answer.interval] + _LONGEST_CLOSURE
    )


def _look_again(pending: PendingOutcome, now: datetime) -> datetime:
    """Soon, by the length of a bar, and once one bar after the horizon has passed."""
    bar = pending.overdue_at - pending.due_at
    retry_at = now + min(max(bar / _RETRIES_A_BAR, _SOONEST_RETRY), _LATEST_RETRY)
    return min(retry_at, pending.overdue_at) if pending.overdue_at > now else retry_at
