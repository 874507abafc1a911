"""What the outcomes say of the skill of the active version of a line, as gauges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from mlengine.core.monitoring.skill.evidence import SkillStatus
from mlengine.core.telemetry.families import (
    SKILL_DATES,
    SKILL_E_VALUE,
    SKILL_GAIN,
    SKILL_STATUS,
    Sample,
    Samples,
)
from mlengine.stores.outcomes.skill_store import SkillStore
from mlengine.stores.registry.active import ActiveFile


@dataclass(frozen=True)
class SkillGauges:
    skills: SkillStore
    active: ActiveFile

    def read(self, now: datetime) -> Sequence[Samples]:  # noqa: ARG002 - as every reader
        """Nothing before the first date with outcomes; raises DatabaseUnavailable or DamagedRow."""
        active = self.active.read()
        kept = self.skills.read(active.version) if active else None
        if kept is None:
            return ()
        record = kept[1]
        line = self.skills.line
        statuses = [
            Sample((each, line), float(each == record.status)) for each in get_args(SkillStatus)
        ]
        gain = record.gain / record.dates if record.dates else 0.0
        evidence = record.evidence
        values = (
            [
                Sample(("lost", line), evidence.lost_e_value),
                Sample(("proven", line), evidence.proven_e_value),
            ]
            if evidence
            else []
        )
        return (
            Samples(SKILL_STATUS, statuses),
            Samples(SKILL_DATES, [Sample((line,), float(record.dates))]),
            Samples(SKILL_GAIN, [Sample((line,), gain)]),
            Samples(SKILL_E_VALUE, values),
        )
