"""Asking for trainings from many sides at once, through the real application."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from tests.platforms import make_platform, settings
from tests.queue_process import QueueProcess
from werkzeug.test import TestResponse

from mlengine.app import create_app
from mlengine.bootstrap.platform import Platform
from mlengine.supervisor.registry_state import RegistryState

KEY = {"X-API-Key": "a-test-key-of-thirty-two-letters"}
ASKED = 50
NOW = datetime(2026, 11, 28, tzinfo=UTC)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[tuple[Platform, list[Flask]]]:
    """Two applications, each with its own platform, on one database and one queue."""
    with QueueProcess() as queue:
        platform = make_platform(tmp_path, REDIS_URL=queue.url)
        apps = [create_app(settings(tmp_path, REDIS_URL=queue.url)) for _ in range(2)]
        yield platform, apps


def at_once(apps: list[Flask], headers: dict[str, str], **body: Any) -> list[TestResponse]:
    answers: list[TestResponse] = []
    begin = threading.Barrier(ASKED)

    def ask(number: int) -> None:
        client = apps[number % len(apps)].test_client()
        begin.wait()
        answers.append(client.post("/admin/train", headers=headers, json=body))

    askers = [threading.Thread(target=ask, args=(number,)) for number in range(ASKED)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    return answers


def test_of_fifty_at_once_one_is_accepted_and_the_others_are_told_which(
    platform: tuple[Platform, list[Flask]],
) -> None:
    platform, apps = platform
    answers = at_once(apps, KEY, folds=1)
    (accepted,) = [answer for answer in answers if answer.status_code == 202]
    run_id = accepted.get_json()["run_id"]
    refused = [answer.get_json() for answer in answers if answer.status_code == 409]
    assert [(each["code"], each["run_id"]) for each in refused] == [
        ("training_in_progress", run_id)
    ] * (ASKED - 1)
    assert platform.control.run_store.unfinished_ids() == {run_id}
    assert platform.control.runs.queue.has_job(run_id)


def test_fifty_at_once_under_one_key_are_the_same_answer(
    platform: tuple[Platform, list[Flask]],
) -> None:
    platform, apps = platform
    key = {**KEY, "Idempotency-Key": "nightly"}
    answers = at_once(apps, key, folds=1)
    assert {answer.status_code for answer in answers} == {202}
    (body,) = {answer.text for answer in answers}
    (run_id,) = platform.control.run_store.unfinished_ids()
    assert run_id in body
    platform.control.run_store.finish(run_id, state="succeeded", now=datetime.now(UTC))
    client = apps[0].test_client()
    assert client.post("/admin/train", headers=key, json={"folds": 1}).text == body
    assert client.post("/admin/train", headers=key, json={"folds": 2}).status_code == 422


def test_a_key_is_free_again_where_the_queue_refused(tmp_path: Path) -> None:
    make_platform(tmp_path)
    key = {**KEY, "Idempotency-Key": "nightly"}
    client = create_app(settings(tmp_path, REDIS_URL="unix:///nonexistent/q")).test_client()
    assert client.post("/admin/train", headers=key).status_code == 503
    with QueueProcess() as queue:
        client = create_app(settings(tmp_path, REDIS_URL=queue.url)).test_client()
        assert client.post("/admin/train", headers=key).status_code == 202


def test_runs_are_followed_from_the_list_to_the_cancellation(
    platform: tuple[Platform, list[Flask]],
) -> None:
    _, (app, _) = platform
    client = app.test_client()
    first = client.post("/admin/train", headers=KEY, json={"note": "one"}).get_json()["run_id"]
    cancelled = client.post("/admin/train/cancel", headers=KEY)
    assert cancelled.get_json() == {"run_id": first, "state": "cancelled", "actor": "admin"}
    again = client.post("/admin/train/cancel", headers=KEY, json={"run_id": first})
    assert again.get_json() == cancelled.get_json()
    assert client.post("/admin/train/cancel", headers=KEY).status_code == 404
    second = client.post("/admin/models/v1/reproduce", headers=KEY).get_json()["run_id"]
    page = client.get("/admin/train/runs?limit=1", headers=KEY).get_json()
    assert [(run["run_id"], run["kind"]) for run in page["runs"]] == [(second, "reproduce")]
    page = client.get(f"/admin/train/runs?cursor={page['next_cursor']}", headers=KEY).get_json()
    assert [(run["run_id"], run["note"]) for run in page["runs"]] == [(first, "one")]
    status = client.get(f"/admin/train/status?run_id={first}", headers=KEY).get_json()
    assert (status["state"], status["error"]) == ("cancelled", "cancelled by admin")
    (event, *_) = client.get("/monitoring/history?kind=train_cancelled").get_json()["events"]
    assert (event["actor"], event["details"]["run_id"]) == ("admin", first)


def test_a_label_that_ranks_needs_returns_of_ten_symbols_and_dask_a_cluster(
    platform: tuple[Platform, list[Flask]],
) -> None:
    _, (app, _) = platform
    client = app.test_client()
    refused = client.post("/admin/train", headers=KEY, json={"engine": "dask"})
    assert refused.status_code == 422
    (reason,) = refused.get_json()["errors"]["engine"]
    assert reason == "needs DASK_SCHEDULER_ADDRESS, the scheduler of a Dask cluster"
    for body in ({"label": "cs_zscore"}, {"label": "cs_zscore", "objective": "return"}):
        answer = client.post("/admin/train", headers=KEY, json=body)
        assert set(answer.get_json()["errors"]) == {"label"}
    symbols = [f"S{number}" for number in range(10)]
    body = {"label": "cs_zscore", "objective": "return", "symbols": symbols}
    assert client.post("/admin/train", headers=KEY, json=body).status_code == 202


def test_a_first_training_is_asked_for_once_where_no_model_serves(tmp_path: Path) -> None:
    with QueueProcess() as queue:
        control = make_platform(tmp_path, models=0, REDIS_URL=queue.url).control
        control.request_first_training(now=NOW)
        control.request_first_training(now=NOW)
        (run,) = control.runs.page(limit=9, cursor=None, state=None, now=NOW).rows
        assert (run.state, run.actor) == ("queued", "first-training")
        assert control.queue.has_job(run.run_id)


def test_no_first_training_is_asked_for_where_a_model_serves(tmp_path: Path) -> None:
    control = make_platform(tmp_path).control
    control.request_first_training(now=NOW)
    assert not control.runs.page(limit=9, cursor=None, state=None, now=NOW).rows


@pytest.mark.parametrize(
    "changed",
    [
        {"ACTIVATION_APPROVALS": "true"},
        {"TRAIN_ENGINE": "dask", "DASK_SCHEDULER_ADDRESS": "tcp://127.0.0.1:1"},
    ],
)
def test_no_first_training_is_asked_for_where_a_version_waits_for_a_person(
    tmp_path: Path, changed: dict[str, str]
) -> None:
    platform = make_platform(tmp_path, models=2, **changed)
    platform.models.registry.active.path.unlink()
    state = RegistryState(settings(tmp_path, **changed))
    assert not state.needs_first_training()
    assert "models activate v2" in state.next_step()
    assert next(iter(changed)) in state.next_step()
    platform.control.request_first_training(now=NOW)
    assert not platform.control.runs.page(limit=9, cursor=None, state=None, now=NOW).rows


def test_a_first_training_that_has_no_queue_yet_ends_no_process(tmp_path: Path) -> None:
    control = make_platform(tmp_path, models=0, REDIS_URL="redis://127.0.0.1:1/0").control
    control.request_first_training(now=NOW)
