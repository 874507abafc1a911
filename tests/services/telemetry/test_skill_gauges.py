from __future__ import annotations

from pathlib import Path

import numpy as np
from tests.platforms import NOW, make_platform

from mlengine.core.monitoring.skill.evidence import skill_terms
from mlengine.core.monitoring.skill.report import start_record
from mlengine.services.telemetry.skill_gauges import SkillGauges
from mlengine.stores.outcomes.skill_store import SkillStore


def told(gauges: SkillGauges) -> dict[tuple[str, ...], float]:
    return {
        (found.family.name, *sample.labels): sample.value
        for found in gauges.read(NOW)
        for sample in found.samples
    }


def test_the_gauges_are_of_the_active_version_and_nothing_before_its_first_date(
    tmp_path: Path,
) -> None:
    platform = make_platform(tmp_path)
    skills = SkillStore(platform.control.database)
    gauges = SkillGauges(skills, platform.control.active)
    assert told(gauges) == {}
    gains = np.random.default_rng(1).normal(0.02, 0.05, 400)
    record = start_record(skill_terms(gains, steps_ahead=1), steps_ahead=1)
    for _ in range(4):
        record = record.with_date(0.5, 0.0)
    skills.write("v1", record, counted=None, through=19_000, event=None)
    found = told(gauges)
    assert (found["skill_dates", "main"], found["skill_gain", "main"]) == (4.0, 0.5)
    assert found["skill_status", record.status, "main"] == 1.0
    assert sum(value for key, value in found.items() if key[0] == "skill_status") == 1.0
    assert record.evidence is not None
    assert found["skill_e_value", "lost", "main"] == record.evidence.lost_e_value
    skills.write("v2", record, counted=None, through=19_000, event=None)
    platform.control.active.path.unlink()
    assert told(gauges) == {}
