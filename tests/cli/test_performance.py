from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from tests.web.platform import FakePerformanceService

from mlengine.cli.performance import describe_performance
from mlengine.core.monitoring.skill.evidence import skill_terms
from mlengine.core.monitoring.skill.report import start_record, tell_skill
from mlengine.core.outcomes.performance import PartFigures

NOW = datetime(2021, 3, 1, tzinfo=UTC)


def test_figures_stand_beside_those_of_the_training_and_symbols_are_cut() -> None:
    answer = FakePerformanceService().performance(
        version="v3", window=20, symbol=None, group=None, now=NOW
    )
    gains = np.random.default_rng(1).normal(0.006, 0.02, 500)
    record = start_record(skill_terms(gains, steps_ahead=1), steps_ahead=1).with_date(0.01, 0.0)
    parts = tuple(PartFigures(f"S{n:02d}", 5, 0.6, 0.7, 0.5, None) for n in range(23))
    shown = describe_performance(
        replace(answer, skill=tell_skill(record, version="v2", reason=None), by_symbol=parts)
    )
    assert "v3: 1 outcomes of 1 dates" in shown
    assert "due 3: scored 1, void 1 (no_bars 1), waiting for bars 1" in shown
    assert "skill: undecided after 1 dates" in shown
    assert " on 500 dates" in shown
    assert "against v2: undecided" in shown
    assert "auc" in shown
    assert shown.endswith("and 3 more")
