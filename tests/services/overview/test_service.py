"""What speaks against a model is named, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from tests.factories import START
from tests.platforms import ROWS, SYMBOLS, make_platform
from tests.published import CREATED

from mlengine.bootstrap.platform import Platform
from mlengine.cli.overview import describe_overview
from mlengine.core.monitoring.drift_alarm import DriftAlarms
from mlengine.core.monitoring.sequential import DriftAlarmState
from mlengine.core.monitoring.skill.evidence import skill_terms
from mlengine.core.monitoring.skill.report import SkillRecord, start_record
from mlengine.services.overview.service import Overview
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.stores.monitoring.drift_store import DriftProgress, DriftStore
from mlengine.stores.outcomes.skill_store import SkillStore

FRESH = START + timedelta(days=ROWS, minutes=5)


def ask(platform: Platform, at: datetime) -> None:
    platform.predict.predict_batch(SYMBOLS, PredictionRequest("r", at))


def at(platform: Platform, now: datetime) -> Overview:
    return platform.overview.overview(now=now)


def record(gain: float) -> SkillRecord:
    gains = np.random.default_rng(1).normal(0.02, 0.05, 400)
    found = start_record(skill_terms(gains, steps_ahead=1), steps_ahead=1)
    for _ in range(120):
        found = found.with_date(gain, 0.0)
    return found


def test_feeds_and_an_update_that_stands_still_are_told(tmp_path: Path) -> None:
    platform = make_platform(tmp_path)
    ask(platform, FRESH)
    found = at(platform, FRESH)
    assert (found.status, found.reasons) == ("look", ("no_edge_in_training",))
    assert (found.feeds.fresh, found.feeds.stale, found.feeds.unasked) == (3, (), 0)
    assert found.waits_since == FRESH
    assert found.drift.status == "insufficient_data"
    later = FRESH + timedelta(days=7)
    ask(platform, later)
    found = at(platform, later)
    assert found.reasons == ("no_edge_in_training", "stale_feeds", "monitoring_behind")
    assert found.feeds.stale == SYMBOLS
    platform.updates_of_all_lines().run(later)
    assert "monitoring_behind" not in at(platform, later).reasons
    by_hand = replace(platform.overview, updates=False).overview(now=later + timedelta(days=1))
    assert by_hand.waits_since is None
    text = describe_overview(found)
    assert text.startswith("v1")
    assert "look: no_edge_in_training, stale_feeds, monitoring_behind" in text
    assert "fresh 0, stale 3 (AAA, BBB, CCC), unasked 0" in text
    assert "insufficient_data (too_few_rows)" in text


def test_what_monitoring_found_of_the_model_is_told_until_another_serves(tmp_path: Path) -> None:
    platform = make_platform(tmp_path)
    engine = platform.control.database
    SkillStore(engine).write("v1", record(0.05), counted=None, through=1, event=None)
    assert at(platform, FRESH).skill.status == "proven"
    assert (at(platform, FRESH).status, at(platform, FRESH).reasons) == ("ok", ())
    assert "ok: nothing speaks against it" in describe_overview(at(platform, FRESH))
    SkillStore(engine).write("v1", record(-0.1), counted=1, through=2, event=None)
    alarms = DriftAlarms(DriftAlarmState(e_value=3.0, alarms=1, alarmed=9), ("fast",), 9, 2)
    DriftStore(engine).advance("v1", DriftProgress(1, FRESH, alarms.to_dict()), [])
    found = at(platform, FRESH)
    assert found.reasons == ("skill_lost", "drift_alarm", "frozen_features")
    text = describe_overview(found)
    assert "e-value 3 of 126 (a false alarm in 10 years); alarms so far: 3" in text
    assert "stand still: fast" in text
    assert "lost after 120 dates" in text
    assert "(20 decide)" in text


def test_a_model_ages(tmp_path: Path) -> None:
    platform = make_platform(tmp_path, MAX_MODEL_AGE_DAYS="30")
    SkillStore(platform.control.database).write(
        "v1", record(0.05), counted=None, through=1, event=None
    )
    days = [1, 21, 31]
    reasons = [at(platform, CREATED + timedelta(days=day)).reasons for day in days]
    assert reasons == [(), ("model_ageing",), ("model_too_old",)]
    found = at(platform, CREATED)
    assert found.model.too_old_from == CREATED + timedelta(days=30)
    assert "too old from" in describe_overview(found)
