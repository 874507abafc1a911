from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from flask.testing import FlaskClient
from tests.web.conftest import KEY, MakeApp
from tests.web.http.test_errors import problem
from tests.web.platform import FakeAuditService, FakePlatform, failed_row

from mlengine.app import create_app
from mlengine.config import Settings
from mlengine.errors import DatabaseUnavailable

ADMIN_CHANGES = [
    ("POST", "/admin/train"),
    ("POST", "/admin/train/cancel"),
    ("POST", "/admin/models/v2/reproduce"),
    ("POST", "/admin/activate/v2"),
    ("POST", "/admin/rollback"),
    ("POST", "/admin/reload"),
    ("DELETE", "/admin/audit/clear"),
    ("POST", "/predictions/p9/replay"),
    ("POST", "/admin/lines"),
    ("POST", "/admin/lines/slow/retire"),
    ("POST", "/admin/hooks"),
    ("DELETE", "/admin/hooks/h9"),
    ("POST", "/admin/hooks/h9/test"),
    ("POST", "/admin/hooks/h9/rotate"),
    ("POST", "/admin/hooks/h9/redeliver"),
]


def day(number: int) -> datetime:
    return datetime(2024, 5, number, tzinfo=UTC)


def test_one_prediction_has_the_fields_of_the_list(client: FlaskClient, tiny: FakePlatform) -> None:
    tiny.audit.rows.append(failed_row())
    (listed,) = client.get("/predictions/recent").get_json()["predictions"]
    for prefix in ("", "/api/v1"):
        answer = client.get(f"{prefix}/predictions/p9")
        assert (answer.status_code, answer.get_json()) == (200, listed)
    assert listed["status"] == "error"


@pytest.mark.parametrize(
    "prediction_id", ["p8", "x" * 65, "a%20b", "..", "p9%0a", "%C3%A4", "p_9", "replay"]
)
def test_what_is_no_prediction_is_404(client: FlaskClient, prediction_id: str) -> None:
    for answer in (
        client.get(f"/predictions/{prediction_id}"),
        client.post(f"/predictions/{prediction_id}/replay", headers=KEY),
    ):
        problem(answer, 404, "prediction_not_found")


def test_a_list_tells_whether_rows_wait_in_the_spool(
    tiny: FakePlatform, make_settings: Callable[..., Settings]
) -> None:
    down = dataclasses.replace(tiny, audit=FakeAuditService(spooled=True))
    client = create_app(make_settings(), platform=down).test_client()  # type: ignore[arg-type]
    assert client.get("/predictions/recent").get_json()["spooled"] is True
    missing = problem(client.get("/predictions/p8"), 404, "prediction_not_found")
    assert "it may wait in the audit's spool" in str(missing["detail"])


def test_a_list_without_a_spool_says_so(client: FlaskClient) -> None:
    assert client.get("/predictions/recent").get_json() == {
        "predictions": [],
        "next_cursor": None,
        "spooled": False,
    }


def test_rows_are_asked_for_by_time_and_outcome(client: FlaskClient, tiny: FakePlatform) -> None:
    for query in (
        "",
        "?since=2024-05-01&until=2024-05-02T00:00:00Z",
        "?since=2024-05-01T02:00:00%2B02:00&status=ok",
        "?status=error&until=2999-01-01",
    ):
        assert client.get(f"/predictions/recent{query}").status_code == 200
    assert tiny.audit.calls == [
        (None, None, None),
        (day(1), day(2), None),
        (day(1), None, True),
        (None, datetime(2999, 1, 1, tzinfo=UTC), False),
    ]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("since=yesterday", "since"),
        ("until=2024-05-32", "until"),
        ("until=2024-05-01T00:00:00", "until"),
        ("since=2024-05-01T00:00:00+02:00", "since"),
        ("status=fine", "status"),
        ("ok=true", "ok"),
    ],
)
def test_a_bad_filter_is_422(client: FlaskClient, query: str, field: str) -> None:
    answer = client.get(f"/predictions/recent?{query}")
    assert set(problem(answer, 422, "invalid_request")["errors"]) == {field}


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
def test_a_replay_needs_a_key_and_says_where_it_differs(
    client: FlaskClient, tiny: FakePlatform, prefix: str
) -> None:
    path = f"{prefix}/predictions/p9/replay"
    tiny.audit.rows.append(failed_row())
    problem(client.post(path), 401, "unauthorized")
    assert not tiny.replay.calls
    answer = client.post(path, headers={**KEY, "X-Request-ID": "r-1"})
    assert answer.get_json() == {
        "prediction_id": "p9",
        "symbol": "AAPL",
        "bar_timestamp": "2024-05-31T00:00:00Z",
        "model_version": "v2",
        "status": "features",
        "recorded_score": 0.51,
        "replayed_score": 0.52,
        "differing_features": ["rsi_14"],
        "reason": None,
        "upstream": "changed",
        "actor": "admin",
    }
    (call,) = tiny.replay.calls
    assert (call["check_upstream"], call["actor"], call["request_id"]) == (True, "admin", "r-1")


def test_a_replay_may_leave_the_upstream_alone(client: FlaskClient, tiny: FakePlatform) -> None:
    path = "/predictions/p9/replay"
    tiny.audit.rows.append(failed_row())
    assert client.post(path, headers=KEY, json={"upstream": False}).status_code == 200
    assert tiny.replay.calls[0]["check_upstream"] is False
    for body in ({"upstream": "no"}, {"upstream": 2}, {"other": True}):
        refused = client.post(path, headers=KEY, json=body)
        problem(refused, 422, "invalid_request")


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
@pytest.mark.parametrize(("method", "path"), ADMIN_CHANGES)
def test_every_admin_action_stands_in_the_history_before_it_is_tried(
    client: FlaskClient, tiny: FakePlatform, method: str, path: str, prefix: str
) -> None:
    headers = {**KEY, "X-Request-ID": "r-7"}
    client.open(prefix + path, method=method, headers=headers)
    (event,) = [each for each in tiny.control.events.written if each.kind == "admin_action"]
    details = event.details
    assert isinstance(details, dict)
    assert (event.actor, details["method"], details["request_id"]) == ("admin", method, "r-7")
    assert details["route"].startswith(f"{prefix}/")
    assert set(details["arguments"].values()) <= {"v2", "p9", "h9", "slow"}


def test_the_list_of_admin_actions_is_whole(make_app: MakeApp) -> None:
    rules = {
        (method, rule.rule)
        for rule in make_app().url_map.iter_rules()
        for method in (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}
        if not rule.rule.startswith("/api/v1")
    }
    public = {("POST", "/predict/batch"), ("POST", "/models/activate/<version:version>")}
    named = {(m, p.replace("/v2", "/<version:version>")) for m, p in ADMIN_CHANGES}
    named = {(m, p.replace("/p9", "/<prediction_id>")) for m, p in named}
    named = {(m, p.replace("/h9", "/<hook_id>")) for m, p in named}
    named = {(m, p.replace("/slow", "/<name>")) for m, p in named}
    assert rules - public == named


def test_an_activation_without_a_key_is_noted_too(make_app: MakeApp, tiny: FakePlatform) -> None:
    client = make_app(PUBLIC_ACTIVATION="true").test_client()
    client.post("/models/activate/v2")
    assert [event.actor for event in tiny.control.events.written] == ["public"]


def test_reading_and_refused_callers_leave_no_event(
    client: FlaskClient, tiny: FakePlatform
) -> None:
    client.get("/admin/train/status", headers=KEY)
    client.post("/admin/reload")
    client.post("/models/activate/v2")
    client.post(f"/admin/activate/{'x' * 5000}", headers=KEY)
    (event,) = tiny.control.events.written
    assert event.details["arguments"] == {"version": "x" * 64}


def test_an_action_that_can_not_be_noted_is_not_done(
    client: FlaskClient, tiny: FakePlatform
) -> None:
    tiny.control.events.refusals.append(DatabaseUnavailable("its disk is full"))
    problem(client.post("/admin/activate/v2", headers=KEY), 503, "audit_unavailable")
    problem(client.post("/admin/train", headers=KEY), 503, "audit_unavailable")
    assert not tiny.models.done
    assert not tiny.control.runs.live
