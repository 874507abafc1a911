from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from tests.web.conftest import KEY
from tests.web.http.test_errors import problem
from tests.web.platform import (
    FakeControlPlane,
    FakePlatform,
    FakeRunService,
    failed_row,
    manifest,
)

from mlengine.app import create_app
from mlengine.config import Settings
from mlengine.errors import RefusedLineFiles


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
def test_a_training_is_accepted_and_says_where_to_look(client: FlaskClient, prefix: str) -> None:
    idle = client.get(f"{prefix}/admin/train/status", headers=KEY).get_json()
    fields = ("kind", "sequence", "progress", "eta_seconds", "queued_at", "started_at", "ended_at")
    fields += ("lease_until", "version", "error", "result", "parameters", "note", "actor")
    nothing = dict.fromkeys((*fields, "run_id", "request_id", "traceparent", "log"))
    assert idle == {**nothing, "model": "main", "state": "idle", "workers": 1}
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


def test_overrides_change_the_recipe(client: FlaskClient, tiny: FakePlatform) -> None:
    overrides = {
        "symbols": ["AAPL", "AAPL", "MSFT"],
        "min_symbols": 2,
        "lookback": 500,
        "test_size": 0.3,
        "horizon_bars": 10,
        "objective": "return",
        "feature_set": "core",
        "train_window": 250,
        "label": "raw",
        "rounds": 50,
        "params": {"num_leaves": 15, "lambda_l2": 0.5},
        "cost_bps": 2.5,
        "gate_min_dates": 100,
        "gate_margin": 0.01,
        "note": "a first look",
        "engine": "dask",
    }
    assert client.post("/admin/train", headers=KEY, json=overrides).status_code == 202
    (run,) = tiny.control.runs.live
    for name, value in (overrides | {"symbols": ["AAPL", "MSFT"], "seed": 42}).items():
        assert json.loads(run.spec)[name] == value


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"symbols": []}, {"symbols"}),
        ({"symbols": ["a,b"]}, {"symbols.0"}),
        ({"lookback": "5"}, {"lookback"}),
        ({"test_size": 0.9}, {"test_size"}),
        ({"seed": -1}, {"seed"}),
        ({"folds": 51}, {"folds"}),
        ({"horizon_bars": 0, "embargo_bars": 1.5}, {"horizon_bars", "embargo_bars"}),
        ({"objective": "up"}, {"objective"}),
        ({"activate": "maybe", "refit": "half"}, {"activate", "refit"}),
        ({"feature_set": "nope"}, {"feature_set"}),
        ({"interval": "1h"}, {"interval"}),
        ({"label": "z", "rounds": 0, "train_window": -1}, {"label", "rounds", "train_window"}),
        ({"cost_bps": -1.0, "note": ""}, {"cost_bps", "note"}),
        ({"note": "x" * 1001}, {"note"}),
        ({"engine": "spark"}, {"engine"}),
        ({"params": {"objective": "l2", "num_leaves": 7}}, {"params.objective"}),
        ({"params": {"seed": 1, "deterministic": False}}, {"params.seed", "params.deterministic"}),
        ({"params": {"num_threads": 8, "n_jobs": 8}}, {"params.num_threads", "params.n_jobs"}),
        ({"params": {"is_unbalance": True}}, {"params.is_unbalance"}),
        ({"params": {"scale_pos_weight": 2.0}}, {"params.scale_pos_weight"}),
        ({"params": {"num_leaves": "many"}}, {"params.num_leaves"}),
        ({"params": [1]}, {"params"}),
        ({"universe_file": "/etc/passwd"}, {"universe_file"}),
    ],
)
def test_overrides_are_checked_at_once(
    client: FlaskClient, tiny: FakePlatform, body: dict[str, object], named: set[str]
) -> None:
    answer = client.post("/admin/train", headers=KEY, json=body)
    assert set(problem(answer, 422, "invalid_request")["errors"]) == named
    assert not tiny.control.runs.live


def test_a_queue_that_is_down_is_503(
    tiny: FakePlatform, make_settings: Callable[..., Settings]
) -> None:
    down = dataclasses.replace(tiny, control=FakeControlPlane(FakeRunService(queue_up=False)))
    client = create_app(make_settings(), platform=down).test_client()  # type: ignore[arg-type]
    problem(client.post("/admin/train", headers=KEY), 503, "queue_unavailable")
    assert client.get("/admin/train/status", headers=KEY).get_json()["workers"] is None


def test_an_idempotency_key_gets_the_same_answer_for_the_same_body_only(
    client: FlaskClient,
) -> None:
    key = {**KEY, "Idempotency-Key": "nightly-2026-11-25"}
    first = client.post("/admin/train", headers=key, json={"seed": 1, "folds": 2})
    again = client.post("/admin/train", headers=key, json={"folds": 2, "seed": 1})
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.get_json() == again.get_json()
    assert first.headers["Location"] == again.headers["Location"]
    other = client.post("/admin/train", headers=key, json={"seed": 2})
    assert set(problem(other, 422, "invalid_request")["errors"]) == {"Idempotency-Key"}
    problem(client.post("/admin/train", headers=KEY), 409, "training_in_progress")


@pytest.mark.parametrize("key", ["", "a b", "x" * 201, "caf\xe9"])
def test_a_key_that_is_none_is_refused(client: FlaskClient, tiny: FakePlatform, key: str) -> None:
    answer = client.post("/admin/train", headers={**KEY, "Idempotency-Key": key})
    assert set(problem(answer, 422, "invalid_request")["errors"]) == {"Idempotency-Key"}
    assert not tiny.control.runs.live


def test_runs_are_listed_by_state_with_a_cursor(client: FlaskClient) -> None:
    assert client.get("/admin/train/runs", headers=KEY).get_json() == {
        "runs": [],
        "next_cursor": None,
    }
    client.post("/admin/train", headers=KEY, json={"note": "weekly"})
    (run,) = client.get("/admin/train/runs?state=queued&limit=1", headers=KEY).get_json()["runs"]
    assert (run["state"], run["note"], run["parameters"]["note"]) == ("queued", "weekly", "weekly")
    assert run["sequence"] == 1
    assert "log" not in run
    assert client.get("/admin/train/runs?state=lost", headers=KEY).get_json()["runs"] == []
    for query in ("state=idle", "limit=0", "limit=x", "cursor=!", "cursor=AAAA"):
        problem(client.get(f"/admin/train/runs?{query}", headers=KEY), 422, "invalid_request")


def test_the_live_run_is_cancelled_and_an_ended_one_is_not(client: FlaskClient) -> None:
    problem(client.post("/admin/train/cancel", headers=KEY), 404, "run_not_found")
    missing = client.post("/admin/train/cancel", headers=KEY, json={"run_id": "nope"})
    problem(missing, 404, "run_not_found")
    run_id = client.post("/admin/train", headers=KEY).get_json()["run_id"]
    ended = client.post("/admin/train/cancel", headers=KEY, json={"run_id": "ended"})
    assert problem(ended, 409, "run_not_cancellable")["run_id"] == "ended"
    answer = client.post("/admin/train/cancel", headers=KEY).get_json()
    assert answer == {"run_id": run_id, "state": "cancelled", "actor": "admin"}


def test_a_reproduction_is_a_run_of_its_own_kind(client: FlaskClient) -> None:
    answer = client.post("/admin/models/v2/reproduce", headers=KEY)
    assert answer.status_code == 202
    status = client.get(answer.headers["Location"], headers=KEY).get_json()
    assert (status["kind"], status["parameters"]) == ("reproduce", {"version": "v2"})
    for version in ("v9", "latest"):
        answer = client.post(f"/admin/models/{version}/reproduce", headers=KEY)
        problem(answer, 404, "model_not_found")


def test_what_a_cluster_fitted_is_not_reproduced(
    client: FlaskClient, tiny: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = dataclasses.replace(manifest("v2"), reproducible=False)
    monkeypatch.setattr(type(tiny.models), "get", lambda *_: (fitted, False))
    answer = client.post("/admin/models/v2/reproduce", headers=KEY)
    assert "by a cluster" in problem(answer, 422, "invalid_request")["errors"]["version"][0]
    assert not tiny.control.runs.live
    assert client.get("/models/v2").get_json()["reproducible"] is False


def test_an_unknown_run_is_404_and_a_malformed_one_422(client: FlaskClient) -> None:
    problem(client.get("/admin/train/status?run_id=nope", headers=KEY), 404, "run_not_found")
    for run_id in ("", "a b", "x" * 65, "../x"):
        query = {"run_id": run_id}
        answer = client.get("/admin/train/status", query_string=query, headers=KEY)
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
        "lines": [],
        "keys": "ok",
        "actor": "admin",
    }


def test_reload_without_a_model_is_503(client: FlaskClient, tiny: FakePlatform) -> None:
    tiny.models.active[0] = None
    problem(client.post("/admin/reload", headers=KEY), 503, "no_active_model")


def test_reload_says_which_file_of_a_line_is_no_good(
    client: FlaskClient, tiny: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> tuple[str, ...]:
        raise RefusedLineFiles(["typo.toml is refused: recipe.horizon is no field", "b.toml"])

    monkeypatch.setattr(type(tiny.control), "take_line_files", refuse)
    answer = client.post("/admin/reload", headers=KEY)
    assert answer.status_code == 422
    named = ["typo.toml is refused: recipe.horizon is no field", "b.toml"]
    assert answer.get_json()["errors"] == {"lines": named}


def test_clearing_the_audit_says_how_many(client: FlaskClient, tiny: FakePlatform) -> None:
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
        ("POST", "/admin/train/cancel"),
        ("POST", "/admin/models/v2/reproduce"),
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
