"""The alarms about live dates: a distribution that moved, a feature that froze."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from mlengine.core.monitoring.drift.frozen import frozen
from mlengine.core.monitoring.drift.model_reference import ModelReference
from mlengine.core.monitoring.drift.tallies import DateTallies
from mlengine.core.monitoring.event import FROZEN_FEATURE
from mlengine.core.monitoring.sequential import DriftAlarmState, look

# As many dates as the longest run of a feature that is told may need.
_DATES_BEFORE = 128


@dataclass(frozen=True)
class DriftAlarms:
    """`sequential` is that of the whole; `frozen` names the features that stand still at present.

    `looked` is the last date that was looked at, in days since 1970; `frozen_alarms` how often a
    feature that began to stand still was told.
    """

    sequential: DriftAlarmState = field(default_factory=DriftAlarmState)
    frozen: tuple[str, ...] = ()
    looked: int = 0
    frozen_alarms: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As `from_dict` takes it; JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DriftAlarms:
        """Raises ValueError, TypeError or KeyError for what `to_dict` did not write.

        Earlier platforms did not count the alarms about frozen features.
        """
        kept = values["sequential"]
        state = DriftAlarmState(
            **kept
            | {"found": tuple(map(int, kept["found"])), "scores": tuple(map(float, kept["scores"]))}
        )
        if not math.isfinite(state.e_value):
            raise ValueError("e_value")
        frozen_alarms = int(values.get("frozen_alarms", 0))
        return cls(state, tuple(map(str, values["frozen"])), int(values["looked"]), frozen_alarms)

    def first_needed(self) -> int:
        """The first date that the next look needs: of an unfinished block, and of a long run."""
        return min(self.sequential.through + 1, self.looked - _DATES_BEFORE)


@dataclass(frozen=True)
class AlarmTold:
    """One alarm: `by` is `distribution` or `frozen_feature`, `features` what it found, first the
    worst. Dates are days since 1970.
    """

    by: str
    features: tuple[str, ...]
    since: int
    through: int
    e_value: float | None = None


def look_at_dates(
    alarms: DriftAlarms, reference: ModelReference, live: DateTallies, *, level: float
) -> tuple[DriftAlarms, Sequence[AlarmTold]]:
    """Look at the dates of `live` after the last look, each as if on its own day.

    The newest date is left: there may be more of its rows to come. `live` begins at `first_needed`
    or before. Raises nothing.
    """
    features, _ = reference.split(live.at(slice(0, -1)))
    if not len(features.dates) or int(features.dates[-1]) <= alarms.looked:
        return alarms, []
    told: list[AlarmTold] = []
    unseen = int(np.searchsorted(features.dates, alarms.looked, side="right"))
    for end in range(unseen + 1, len(features.dates) + 1):
        alarms, news = _look_for_frozen(alarms, reference, features.at(slice(0, end)))
        told += news
    alarms, news = _look_for_drift(alarms, reference, features, level)
    return replace(alarms, looked=int(features.dates[-1])), [*told, *news]


def _look_for_frozen(
    alarms: DriftAlarms, reference: ModelReference, live: DateTallies
) -> tuple[DriftAlarms, list[AlarmTold]]:
    runs, names = reference.features.longest_runs, reference.features.grid.names
    newest = live.at(slice(-_DATES_BEFORE, None))
    if runs is None or not reference.features.covers(float(newest.rows[-1]), 1):
        return alarms, []
    standing = tuple(names[at] for at in np.flatnonzero(frozen(newest, runs)))
    new = tuple(name for name in standing if name not in alarms.frozen)
    date = int(live.dates[-1])
    told = [AlarmTold(FROZEN_FEATURE, new, since=date, through=date)] if new else []
    count = alarms.frozen_alarms + len(told)
    return replace(alarms, frozen=standing, frozen_alarms=count), told


def _look_for_drift(
    alarms: DriftAlarms, reference: ModelReference, live: DateTallies, level: float
) -> tuple[DriftAlarms, list[AlarmTold]]:
    told = []
    before, names = alarms.sequential, reference.features.grid.names
    for state in look(before, reference.features, live, level=level):
        if state.alarms > before.alarms:
            found = tuple(names[at] for at in state.found)
            told.append(
                AlarmTold(
                    "distribution", found, state.alarmed_since, state.alarmed, state.alarm_value
                )
            )
        before = state
    return replace(alarms, sequential=before), told
