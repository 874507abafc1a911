from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from tests.core.small_features import SMALL
from tests.factories import random_bars
from tests.patience import patience
from tests.platforms import NOW, make_platform, settings
from tests.published import publish

from mlengine.app import create_app
from mlengine.bootstrap.lines import LineControls
from mlengine.bootstrap.platform import Platform, build_platform
from mlengine.core.lines.line import LineDefinition
from mlengine.core.monitoring.skill.evidence import skill_terms
from mlengine.core.monitoring.skill.report import start_record
from mlengine.errors import (
    InvalidRequest,
    LineNotFound,
    LineRetired,
    NoActiveModel,
    TrainingInProgress,
)
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.stores.audit.filter import AuditFilter
from mlengine.stores.database.engine import reading
from mlengine.stores.database.tables import outcomes
from mlengine.stores.outcomes.skill_store import SkillStore
from mlengine.stores.registry.registry import Registry
from mlengine.stores.runs.rows import NewRun


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return make_platform(tmp_path, FEATURE_SETS="tests.core.small_features")


def _add(platform: Platform, name: str, **recipe: object) -> Platform:
    """A line with two versions, of which the first is active."""
    platform.control.lines.save(name, LineDefinition(recipe=recipe), actor="ann", now=NOW)
    line = platform.of_line(name)
    for seed in (11, 12):
        publish(line.registry.directory, seed=seed, run_id=f"{name}-{seed}", model=name)
    line.models.activate("v1", actor="ann", reason="first", now=NOW)
    return line


def _predict(platform: Platform, request_id: str = "r"):
    return platform.predict.predict("AAA", PredictionRequest(request_id, NOW))


def test_two_lines_have_versions_a_champion_and_a_history_of_their_own(platform):
    other = _add(platform, "slow", horizon_bars=20)
    other.models.activate("v2", actor="bob", reason="better", now=NOW)
    assert platform.models.active_version() == "v1"
    assert (other.models.active_version(), len(other.models.list().models)) == ("v2", 2)
    assert [e.version for e in platform.control.events.page("activated", 9, None).rows] == ["v1"]
    events = other.control.events.page("activated", 9, None).rows
    assert [(e.version, e.generation, e.model) for e in events] == [
        ("v2", 2, "slow"),
        ("v1", 1, "slow"),
    ]
    assert other.models.rollback(actor="ann", now=NOW).active_version == "v1"
    assert other.control.runs.spec({}).horizon_bars == 20


def test_a_prediction_is_audited_under_its_line(platform):
    other = _add(platform, "slow")
    first, second = _predict(platform), _predict(other)
    assert (first.model, first.model_version) == ("main", "v1")
    assert (second.model, second.model_version) == ("slow", "v1")
    assert first.probability_up != second.probability_up
    for line, prediction in (("main", first), ("slow", second)):
        (row,) = platform.audit.recent(AuditFilter(model=line), limit=9).rows
        assert (row.prediction_id, row.model, row.model_version) == (
            prediction.prediction_id,
            line,
            "v1",
        )
        (same,) = platform.audit.recent(AuditFilter(model=line, version="v1"), limit=9).rows
        assert same == row
    replayed = other.replay.replay(
        second.prediction_id, check_upstream=False, actor="ann", request_id=None, now=NOW
    )
    assert replayed.status == "identical"


def test_a_failure_before_any_version_is_audited_under_its_line(platform):
    platform.control.lines.save("empty", LineDefinition(), actor="ann", now=NOW)
    with pytest.raises(NoActiveModel):
        _predict(platform.of_line("empty"))
    (row,) = platform.audit.recent(AuditFilter(model="empty"), limit=9).rows
    assert (row.model, row.model_version, row.error_code) == ("empty", None, "no_active_model")
    assert platform.audit.recent(AuditFilter(model="main"), limit=9).rows == ()


def test_each_line_has_one_live_run(platform):
    other = _add(platform, "slow")
    runs = [each.control.run_store for each in (platform, other)]
    for number, store in enumerate(runs):
        spec = platform.control.runs.default_spec_text()
        new = NewRun(run_id=f"r{number}", spec=spec, actor="ann", request_id=None)
        assert store.create(new, now=NOW).model == ("main", "slow")[number]
        with pytest.raises(TrainingInProgress, match=f"r{number}"):
            store.create(
                NewRun(run_id=f"x{number}", spec=spec, actor="ann", request_id=None), now=NOW
            )
        newest = store.newest(now=NOW)
        assert newest is not None
        assert newest.run_id == f"r{number}"
        page = store.page(limit=9, cursor=None, state=None, now=NOW)
        assert [run.run_id for run in page.rows] == [f"r{number}"]


def test_a_retired_line_serves_no_more_and_its_past_can_be_read(platform):
    other = _add(platform, "slow")
    _predict(other)
    platform.control.lines.retire("slow", actor="ann", now=NOW)
    with pytest.raises(LineRetired):
        platform.of_line("slow", must_serve=True)
    past = platform.of_line("slow")
    assert past.models.active_version() == "v1"
    assert len(platform.audit.recent(AuditFilter(model="slow"), limit=9).rows) == 1
    assert _predict(platform).model_version == "v1"
    with pytest.raises(LineNotFound):
        platform.of_line("fast")


def test_a_line_that_was_changed_is_another_from_the_next_second_on(platform):
    other = _add(platform, "slow", horizon_bars=20)
    assert platform.of_line("slow") is other
    definition = LineDefinition(recipe={"horizon_bars": 10})
    platform.control.lines.save("slow", definition, actor="ann", now=NOW)
    changed = platform.of_line("slow")
    assert changed.control.runs.defaults.horizon_bars == 10
    assert changed.models.active_version() == "v1"


def test_who_asks_for_a_line_at_hand_waits_for_no_other(platform):
    """Making one may wait for a registry that is slow."""
    there = _add(platform, "slow")
    platform.control.lines.save("new", LineDefinition(), actor="ann", now=NOW)
    asked, goes_on, build = threading.Event(), threading.Event(), platform.lines.build

    def wait_and_build(line):
        asked.set()
        assert goes_on.wait(patience(60))
        return build(line)

    platform.lines.build = wait_and_build
    with ThreadPoolExecutor(2) as threads:
        new = threads.submit(platform.of_line, "new")
        assert asked.wait(patience(60))
        try:
            assert threads.submit(platform.of_line, "slow").result(patience(30)) is there
        finally:
            goes_on.set()
        assert new.result(patience(60)) is platform.of_line("new")


def test_schedules_are_those_of_their_lines(platform, tmp_path):
    controls = LineControls(platform.control, settings(tmp_path))
    assert len(controls.schedules()) == 1
    definition = LineDefinition(schedule="0 2 * * *")
    platform.control.lines.save("slow", definition, actor="ann", now=NOW)
    main, slow = controls.schedules()
    assert controls.schedules()[1] is slow
    day = NOW + timedelta(days=1, hours=3)
    assert slow.tick(run_id="s1", now=NOW).outcome == "none"
    assert main.tick(run_id="m1", now=day).outcome == "none"
    tick = slow.tick(run_id="s1", now=day)
    assert (tick.outcome, tick.run_id) == ("claimed", "s1")
    assert platform.control.runs.get("s1", now=day).model == "slow"
    platform.control.lines.retire("slow", actor="ann", now=day)
    assert platform.control.runs.get("s1", now=day).state == "cancelled"
    assert len(controls.schedules()) == 1


def test_lines_are_listed_with_main_first(platform, tmp_path):
    _add(platform, "slow", horizon_bars=20)
    random_bars("HHH", interval="1h").write_parquet(tmp_path / "bars" / "HHH.parquet")
    hourly = LineDefinition(interval="1h", recipe={"symbols": ["HHH"]})
    platform.control.lines.save("a", hourly, actor="ann", now=NOW)
    main, a, slow = platform.control.lines.list()
    assert [each.name for each in (main, a, slow)] == ["main", "a", "slow"]
    assert (main.active_version, main.versions, main.own) == ("v1", 1, {})
    assert (slow.active_version, slow.versions, slow.own) == ("v1", 2, {"horizon_bars": 20})
    assert (a.active_version, a.interval, a.recipe["interval"]) == (None, "1h", "1h")
    assert platform.of_line("a").bars.interval == "1h"
    assert platform.of_line("slow").bars is platform.bars


def test_a_line_that_could_never_train_is_refused(platform, tmp_path):
    """By what is there: the folder's bars, the feature sets of the settings, the files."""
    short = {"feature_set": "nope", "universe_file": str(tmp_path / "none.csv")}
    definition = LineDefinition(interval="1h", recipe=short)
    with pytest.raises(InvalidRequest) as refusal:
        platform.control.lines.save("a", definition, actor="ann", now=NOW)
    errors = refusal.value.errors
    assert sorted(errors) == ["interval", "recipe.feature_set", "recipe.universe_file"]
    assert "AAA" in errors["interval"][0]
    assert "1 day apart" in errors["interval"][0]
    assert "must be one of alpha158, core, " in errors["recipe.feature_set"][0]
    unheard = LineDefinition(interval="1h", recipe={"symbols": ["AAA", "NEW"], "lookback": 1999})
    with pytest.raises(InvalidRequest, match="interval"):
        platform.control.lines.save("a", unheard, actor="ann", now=NOW)
    random_bars("NEW", interval="1h").write_parquet(tmp_path / "bars" / "NEW.parquet")
    assert platform.control.lines.save("a", unheard, actor="ann", now=NOW)[1] == "created"


def test_monitoring_keeps_the_versions_of_lines_apart(platform):
    other = _add(platform, "slow")
    report = platform.updates_of_all_lines().run(NOW)
    assert not report.has_failed, report
    names = [step.name for step in report.steps]
    assert {"outcomes", "slow/outcomes", "drift", "slow/drift"} <= {*names}
    for symbol in ("AAA", "BBB"):
        other.predict.predict(symbol, PredictionRequest("r", NOW))
    report = platform.updates_of_all_lines().run(NOW + timedelta(minutes=1))
    assert not report.has_failed, report
    assert platform.monitoring.history(kind="drift_checked", limit=9, cursor=None).rows == ()


def test_predictions_of_a_retired_line_still_get_their_outcomes(platform):
    """Also those that no update had seen before; and then the line costs nothing any more."""

    def update(now: datetime) -> list[str]:
        platform.control.lines.directory.forget()
        report = platform.updates_of_all_lines().run(now)
        assert not report.has_failed, report
        return [step.name for step in report.steps if step.name.startswith("slow/")]

    def states() -> list[str]:
        query = select(outcomes.c.state).where(outcomes.c.model_version == "slow/v1")
        with reading(platform.control.database) as connection:
            return list(connection.scalars(query))

    then, day = NOW - timedelta(days=40), timedelta(days=1)
    line = _add(platform, "slow")
    for symbol in ("AAA", "BBB"):
        line.predict.predict(symbol, PredictionRequest("r", then))
    platform.control.lines.retire("slow", actor="ann", now=then)
    both = ["slow/outcomes", "slow/performance"]
    assert (update(then + timedelta(minutes=1)), states()) == (both, ["pending"] * 2)
    assert (update(then + 20 * day), states()) == (both, ["scored"] * 2)
    figures = platform.of_line("slow").performance.performance(
        version="v1", window=60, symbol=None, group=None, now=then + 20 * day
    )
    assert figures.coverage.scored == 2
    assert update(then + 20 * day) == both
    platform.predict.predict("AAA", PredictionRequest("r", then + 2 * day))
    assert (update(then + 20 * day), update(then + 20 * day)) == (both, [])


def test_health_has_the_lines_that_the_process_serves(platform, client):
    for name in ("slow", "gone"):
        _add(platform, name)

    def lines() -> list[tuple[str, str | None, str | None]]:
        listed = client.get("/health").get_json()["lines"]
        return [(each["model"], each["active_version"], each["loaded_version"]) for each in listed]

    assert lines() == [("gone", "v1", None), ("slow", "v1", None)]
    assert client.get("/predict?symbol=AAA&model=gone,slow").status_code == 200
    assert lines() == [("gone", "v1", "v1"), ("slow", "v1", "v1")]
    platform.control.lines.retire("gone", actor="ann", now=NOW)
    other = _registry_of_another_host(platform, "slow")
    other.activate("v2", actor="bob", reason="better", now=NOW)
    assert client.get("/predict?symbol=AAA&model=gone").status_code == 410
    assert lines() == [("slow", "v2", "v1")]
    assert client.get("/predict?symbol=AAA&model=slow").status_code == 200
    assert lines() == [("slow", "v2", "v2")]


def _registry_of_another_host(platform: Platform, name: str) -> Registry:
    return Registry(platform.of_line(name).registry.directory)


def test_metrics_tell_of_each_line_that_serves_and_once_of_each_family(platform, client):
    """What was counted before there was a label is `main`'s."""
    for name in ("slow", "gone"):
        _add(platform, name)
    platform.control.lines.save("empty", LineDefinition(), actor="ann", now=NOW)
    platform.control.lines.retire("gone", actor="ann", now=NOW)
    assert client.get("/predict?symbol=AAA&model=slow").status_code == 200
    assert client.get("/predict?symbol=AAA&model=empty").status_code == 503
    assert client.get("/predict?symbol=AAA").status_code == 200
    record = start_record(skill_terms(np.full(400, 0.1), steps_ahead=1), steps_ahead=1)
    skills = SkillStore(platform.control.database, "slow")
    skills.write("v1", record, counted=None, through=19_000, event=None)
    text = client.get("/metrics").text
    helps = [line for line in text.splitlines() if line.startswith("# HELP")]
    assert len(helps) == len(set(helps))

    def of(name: str) -> dict[str, list[str]]:
        """The other labels, by line."""
        found: dict[str, list[str]] = {}
        for line in re.findall(rf"^mlengine_{name}{{(.*)}} ", text, re.MULTILINE):
            labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
            found.setdefault(labels.pop("model"), []).append(" ".join(labels.values()))
        return found

    assert of("line_model_info") == {"main": ["v1"], "slow": ["slow/v1"]}
    assert of("model_age_seconds") == of("drift_e_value") == {"main": [""], "slow": [""]}
    assert of("drift_alarm_level") == {"main": [""], "slow": [""]}
    for name in ("v1", "slow/v1"):
        causes = of("drift_alarms_total")["main" if name == "v1" else "slow"]
        assert causes == [f"distribution {name}", f"frozen_feature {name}"]
    statuses = ["ok", "drift", "insufficient_data", "uncalibrated"]
    assert of("drift_status") == {"main": statuses, "slow": statuses}
    assert of("skill_dates") == {"slow": [""]}
    assert of("predictions_total") == {
        "main": ["ok v1"],
        "slow": ["ok slow/v1"],
        "empty": ["no_active_model empty/none"],
    }
    (platform.of_line("slow").registry.directory / "v1" / "manifest.json").write_text("damaged")
    fresh = build_platform(platform.control.open_registry.settings)
    found = {each.family.name: each.samples for each in fresh.metrics.gauges.read(NOW)}
    assert [each.labels for each in found["line_model_info"]] == [
        ("v1", "main"),
        ("slow/v1", "slow"),
    ]
    assert [each.labels for each in found["model_age_seconds"]] == [("main",)]
    assert [each.labels for each in found["skill_dates"]] == [("slow",)]


def test_files_of_lines_are_taken_in_at_start(tmp_path):
    folder = tmp_path / "lines"
    folder.mkdir()
    (folder / "slow.toml").write_text("[recipe]\nhorizon_bars = 20\n")
    platform = make_platform(tmp_path, LINES_DIR=str(folder))
    assert platform.of_line("slow").control.runs.defaults.horizon_bars == 20
    assert platform.control.take_line_files() == ()
    (folder / "slow.toml").write_text("[recipe]\nhorizon_bars = 10\n")
    assert platform.control.take_line_files() == ("slow",)


@pytest.fixture
def client(platform: Platform, tmp_path: Path) -> FlaskClient:
    return create_app(settings(tmp_path), platform=platform).test_client()


def test_several_lines_answer_from_one_window_of_bars(platform, client):
    _add(platform, "slow")
    alone = client.get("/predict?symbol=AAA&model=slow").get_json()
    body = client.get("/predict?symbol=AAA&model=slow,main").get_json()
    assert body["models"] == [
        {"model": "slow", "model_version": "v1"},
        {"model": "main", "model_version": "v1"},
    ]
    slow, main = body["results"]
    assert [slow["model"], main["model"]] == ["slow", "main"]
    assert slow["bars_hash"] == main["bars_hash"] == alone["bars_hash"]
    assert slow["probability_up"] == alone["probability_up"] != main["probability_up"]
    assert body["summary"] == {"requested": 2, "succeeded": 2, "failed": 0}
    ids = {row.prediction_id for row in platform.audit.recent(AuditFilter(), limit=9).rows}
    assert {slow["prediction_id"], main["prediction_id"], alone["prediction_id"]} == ids


def test_a_batch_of_several_lines_has_a_result_of_each_symbol_and_line(platform, client):
    _add(platform, "slow")
    platform.control.lines.save("empty", LineDefinition(), actor="ann", now=NOW)
    asked = {"symbols": ["AAA", "NOPE", "a b\n", "BBB"], "model": "main,empty,slow"}
    body = client.post("/api/v1/predict/batch", json=asked).get_json()
    assert [(each["symbol"], each["model"], each["status"]) for each in body["results"]] == [
        ("AAA", "main", "ok"),
        ("AAA", "empty", "error"),
        ("AAA", "slow", "ok"),
        ("NOPE", "main", "error"),
        ("NOPE", "empty", "error"),
        ("NOPE", "slow", "error"),
        ("a b\n", "main", "error"),
        ("a b\n", "empty", "error"),
        ("a b\n", "slow", "error"),
        ("BBB", "main", "ok"),
        ("BBB", "empty", "error"),
        ("BBB", "slow", "ok"),
    ]
    codes = [each["error"]["code"] for each in body["results"] if each["status"] == "error"]
    assert codes[:4] == ["no_active_model", "unknown_symbol", "no_active_model", "unknown_symbol"]
    assert body["models"][1] == {"model": "empty", "model_version": None}
    assert body["summary"] == {"requested": 12, "succeeded": 4, "failed": 8}


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("model=main,nobody", 404, "model_not_found"),
        ("model=main,gone", 410, "line_retired"),
        ("model=gone", 410, "line_retired"),
        ("model=main,main", 422, "invalid_request"),
        ("model=main,slow&version=v1", 422, "invalid_request"),
        ("model=main,slow&explain=true", 422, "invalid_request"),
    ],
)
def test_several_lines_are_refused_as_a_whole(platform, client, query, status, code):
    for name in ("slow", "gone"):
        _add(platform, name)
    platform.control.lines.retire("gone", actor="ann", now=NOW)
    answer = client.get(f"/predict?symbol=AAA&{query}")
    assert (answer.status_code, answer.get_json()["code"]) == (status, code)


def test_lines_of_other_windows_answer_as_they_do_alone(platform, client):
    """The widest window is fetched once; the newest bars of it are what another line sees."""
    narrow = platform.control.lines
    narrow.save("narrow", LineDefinition(), actor="ann", now=NOW)
    line = platform.of_line("narrow")
    publish(line.registry.directory, feature_set=SMALL, seed=5, run_id="n", model="narrow")
    line.models.activate("v1", actor="ann", reason="first", now=NOW)
    alone = client.get("/predict?symbol=AAA&model=narrow").get_json()
    together = client.get("/predict?symbol=AAA&model=main,narrow").get_json()["results"]
    assert together[1]["bars_hash"] == alone["bars_hash"] != together[0]["bars_hash"]
    assert together[1]["probability_up"] == alone["probability_up"]


def test_a_symbol_too_young_for_one_line_has_an_answer_of_another(platform, client, tmp_path):
    random_bars("NEW", rows=20).write_parquet(tmp_path / "bars" / "NEW.parquet")
    platform.control.lines.save("narrow", LineDefinition(), actor="ann", now=NOW)
    line = platform.of_line("narrow")
    publish(line.registry.directory, feature_set=SMALL, seed=5, run_id="n", model="narrow")
    line.models.activate("v1", actor="ann", reason="first", now=NOW)
    asked = {"symbols": ["NEW", "AAA"], "model": "main,narrow"}
    results = client.post("/predict/batch", json=asked).get_json()["results"]
    assert [each["status"] for each in results] == ["error", "ok", "ok", "ok"]
    assert results[0]["error"]["code"] == "insufficient_bars"
