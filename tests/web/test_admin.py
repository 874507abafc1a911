from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from tests.web.conftest import KEY
from tests.web.engine import Runs, TinyEngine, failed_row
from tests.web.test_errors import problem

from mlengine.app import create_app
from mlengine.config import Settings


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
def test_a_training_is_accepted_and_says_where_to_look(client: FlaskClient, prefix: str) -> None:
    idle = client.get(f"{prefix}/admin/train/status", headers=KEY).get_json()
    assert idle == {
        "run_id": None,
        "state": "idle",
        "progress": None,
        "queued_at": None,
        "started_at": None,
        "ended_at": None,
        "version": None,
        "error": None,
        "workers": 1,
    }
    answer = client.post(f"{prefix}/admin/train", headers=KEY)
    run_id = answer.get_json()["run_id"]
    assert answer.status_code == 202
    assert answer.get_json() == {"run_id": run_id, "state": "queued", "actor": "admin"}
    assert answer.headers["Location"] == f"{prefix}/admin/train/status?run_id={run_id}"
    status = client.get(answer.headers["Location"], headers=KEY).get_json()
    assert sorted(status) == sorted(idle)
    assert (status["run_id"], status["state"]) == (run_id, "queued")
    assert status["progress"] == {
        "stage": "folds",
        "percent": 42.5,
        "fold": 2,
        "folds": 5,
        "iteration": 30,
    }
    second = client.post(f"{prefix}/admin/train", headers=KEY)
    assert problem(second, 409, "training_in_progress")["run_id"] == run_id


def test_overrides_change_the_recipe(client: FlaskClient, tiny: TinyEngine) -> None:
    overrides = {
        "symbols": ["AAPL", "AAPL", "MSFT"],
        "lookback": 500,
        "test_size": 0.3,
        "horizon_bars": 10,
        "objective": "return",
        "feature_set": "core",
    }
    assert client.post("/admin/train", headers=KEY, json=overrides).status_code == 202
    (run,) = tiny.runs.live
    for name, value in (overrides | {"symbols": ["AAPL", "MSFT"], "seed": 42}).items():
        assert f"'{name}': {value!r}" in run.spec


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"symbols": []}, {"symbols"}),
        ({"symbols": ["a b"]}, {"symbols.0"}),
        ({"lookback": "5"}, {"lookback"}),
        ({"test_size": 0.9}, {"test_size"}),
        ({"seed": -1}, {"seed"}),
        ({"folds": 51}, {"folds"}),
        ({"horizon_bars": 0, "embargo_bars": 1.5}, {"horizon_bars", "embargo_bars"}),
        ({"objective": "up"}, {"objective"}),
        ({"activate": "maybe", "refit": "half"}, {"activate", "refit"}),
        ({"feature_set": "nope"}, {"feature_set"}),
        ({"interval": "1h"}, {"interval"}),
    ],
)
def test_overrides_are_checked_at_once(
    client: FlaskClient, tiny: TinyEngine, body: dict[str, object], named: set[str]
) -> None:
    answer = client.post("/admin/train", headers=KEY, json=body)
    assert set(problem(answer, 422, "invalid_request")["errors"]) == named
    assert not tiny.runs.live


def test_a_queue_that_is_down_is_503(
    tiny: TinyEngine, make_settings: Callable[..., Settings]
) -> None:
    down = dataclasses.replace(tiny, runs=Runs(queue_up=False))
    client = create_app(make_settings(), engine=down).test_client()  # type: ignore[arg-type]
    problem(client.post("/admin/train", headers=KEY), 503, "queue_unavailable")
    assert client.get("/admin/train/status", headers=KEY).get_json()["workers"] is None


def test_an_unknown_run_is_404_and_a_malformed_one_422(client: FlaskClient) -> None:
    problem(client.get("/admin/train/status?run_id=nope", headers=KEY), 404, "run_not_found")
    for run_id in ("", "a b", "x" * 65, "../x"):
        asked = {"run_id": run_id}
        answer = client.get("/admin/train/status", query_string=asked, headers=KEY)
        problem(answer, 422, "invalid_request")


def test_activation_rollback_and_reload_say_what_was_done_and_by_whom(
    client: FlaskClient,
) -> None:
    problem(client.post("/admin/rollback", headers=KEY), 404, "model_not_found")
    assert client.post("/admin/activate/v2", headers=KEY).get_json() == {
        "active_version": "v2",
        "previous_version": "v2",
        "generation": 2,
        "actor": "admin",
    }
    assert client.post("/api/v1/admin/rollback", headers=KEY, json={}).get_json() == {
        "active_version": "v1",
        "previous_version": "v2",
        "generation": 3,
        "actor": "admin",
    }
    assert client.post("/admin/reload", headers=KEY).get_json() == {
        "loaded_version": "v2",
        "fingerprint": "ef" * 32,
        "generation": 1,
        "actor": "admin",
    }


def test_reload_without_a_model_is_503(client: FlaskClient, tiny: TinyEngine) -> None:
    tiny.models.active[0] = None
    problem(client.post("/admin/reload", headers=KEY), 503, "no_active_model")


def test_clearing_the_audit_says_how_many(client: FlaskClient, tiny: TinyEngine) -> None:
    tiny.audit.rows.extend([failed_row()] * 3)
    answer = client.delete("/admin/audit/clear", headers=KEY)
    assert answer.get_json() == {"cleared": 3, "actor": "admin"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/admin/rollback"),
        ("POST", "/admin/reload"),
        ("POST", "/admin/activate/v2"),
        ("POST", "/admin/train"),
        ("DELETE", "/admin/audit/clear"),
    ],
)
def test_fields_and_parameters_that_are_unknown_are_refused(
    client: FlaskClient, method: str, path: str
) -> None:
    for answer in (
        client.open(path, method=method, headers=KEY, json={"force": True}),
        client.open(f"{path}?force=1", method=method, headers=KEY),
    ):
        assert problem(answer, 422, "invalid_request")["errors"] == {"force": ["Unknown field."]}
