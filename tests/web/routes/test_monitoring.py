from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from tests.web.http.test_errors import problem

from mlengine.core.monitoring.event import EVENT_KINDS


def test_drift_has_the_fields_of_the_contract(client: FlaskClient) -> None:
    answer = client.get("/monitoring/drift?window=5&version=v2").get_json()
    feature = answer["features"][0]
    contract = ("feature", "psi", "ks", "threshold", "drifted")
    assert {name: feature[name] for name in contract} == {
        "feature": "rsi_14",
        "psi": None,
        "ks": None,
        "threshold": None,
        "drifted": None,
    }
    del answer["features"]
    assert answer == {
        "status": "insufficient_data",
        "reason": "too_few_rows",
        "model_version": "v2",
        "n_reference": 2000,
        "n_current": 5,
        "dates": 3,
        "since": "2024-05-31T00:00:00Z",
        "through": "2024-05-31T00:00:00Z",
        "score": None,
        "threshold": None,
        "false_alarm_rate": None,
        "calibration_windows": 0,
        "prediction_drift": None,
        "log_loss": {"estimated": 0.69, "at_training": 0.68},
        "alarm": {
            "e_value": 1.5,
            "threshold": 126.0,
            "since": "2024-05-31T00:00:00Z",
            "through": "2024-05-31T00:00:00Z",
            "alarms": 0,
            "last_alarm": None,
            "found": [],
            "frozen_features": ["rsi_14"],
            "frozen_alarms": 0,
            "false_alarm_years": 10.0,
        },
        "updated_at": "2024-05-31T00:00:00Z",
        "evidently": None,
    }


def test_the_overview_has_each_subject_in_short(client: FlaskClient) -> None:
    answer = client.get("/api/v1/monitoring").get_json()
    assert (answer["status"], answer["reasons"][0]) == ("look", "no_edge_in_training")
    subjects = ("model", "drift", "skill", "coverage", "feeds", "waits_since")
    assert {*answer} == {"status", "reasons", *subjects}
    assert answer["drift"]["alarm"]["false_alarm_years"] == 10.0
    assert answer["skill"]["threshold"] == 20.0
    problem(client.get("/monitoring?model=nope"), 404, "model_not_found")
    problem(client.get("/monitoring?window=7d"), 422, "invalid_request")


def test_a_window_of_drift_is_bars_or_days(client: FlaskClient) -> None:
    assert client.get("/monitoring/drift?window=7d").get_json()["n_current"] == 7
    assert client.get("/monitoring/drift").get_json()["n_current"] == 12
    for window in ("0", "0d", "-1", "7w", "1.5", "100001", "3661d", "", "\u0661"):
        problem(client.get(f"/monitoring/drift?window={window}"), 422, "invalid_request")
    problem(client.get("/monitoring/drift?mode=nannyml"), 422, "invalid_request")


def test_history_is_paged(client: FlaskClient) -> None:
    first = client.get("/api/v1/monitoring/history?limit=6&kind=activated").get_json()
    assert first["events"][0] == {
        "kind": "activated",
        "at": "2024-05-31T00:00:00Z",
        "model": "main",
        "version": "v10",
        "actor": "ann",
        "details": {"n": 10},
    }
    query = {"limit": 6, "cursor": first["next_cursor"]}
    second = client.get("/monitoring/history", query_string=query).get_json()
    assert [event["version"] for event in second["events"]] == ["v4", "v3", "v2", "v1"]
    assert second["next_cursor"] is None


def test_a_kind_of_event_that_there_is_not_is_refused_with_those_there_are(
    client: FlaskClient,
) -> None:
    answer = client.get("/monitoring/history?kind=nope")
    problem(answer, 422, "invalid_request")
    (message,) = answer.get_json()["errors"]["kind"]
    assert set(EVENT_KINDS) == set(message.removeprefix("Must be one of: ").rstrip(".").split(", "))
    for kind in EVENT_KINDS:
        assert client.get(f"/monitoring/history?kind={kind}").status_code == 200


def test_history_is_filtered_by_actor_and_time(client: FlaskClient) -> None:
    query = {"actor": "cli:bob", "since": "2024-02-01", "limit": 1}
    (event,) = client.get("/monitoring/history", query_string=query).get_json()["events"]
    assert (event["actor"], event["at"]) == ("cli:bob", "2024-02-01T00:00:00Z")
    query = {"until": "2024-02-02T00:00:00Z", "limit": 1}
    (event,) = client.get("/monitoring/history", query_string=query).get_json()["events"]
    assert event["at"] == "2024-02-01T00:00:00Z"


def test_history_is_of_one_line_or_of_all(client: FlaskClient) -> None:
    assert client.get("/monitoring/history?all_lines=true").status_code == 200
    both = client.get("/monitoring/history?all_lines=true&model=main")
    problem(both, 422, "invalid_request")
    assert list(both.get_json()["errors"]) == ["all_lines"]


def test_freshness_has_the_fields_of_the_contract(client: FlaskClient) -> None:
    assert client.get("/monitoring/freshness").get_json() == {
        "symbols": [
            {
                "symbol": "AAPL",
                "last_bar": "2024-05-31T00:00:00Z",
                "age_seconds": 86400.0,
                "age_bars": 1.0,
                "stale": False,
                "revised_bars": 0,
                "unasked": False,
            }
        ],
        "model": {
            "version": "v2",
            "trained_at": "2024-05-31T00:00:00Z",
            "age_seconds": 3600.5,
            "trained_through": "2024-05-31T00:00:00Z",
        },
        "last_prediction_at": None,
    }


def test_latency_is_by_route_and_stage(client: FlaskClient) -> None:
    assert client.get("/monitoring/latency?window=60").get_json() == {
        "window_seconds": 60,
        "routes": [
            {
                "route": "/predict",
                "stage": "model",
                "count": 3,
                "p50_ms": 0.1,
                "p90_ms": 0.2,
                "p99_ms": 0.3,
                "max_ms": 0.3,
                "error_rate": 0.25,
                "server_error_rate": 0.0,
            }
        ],
    }


@pytest.mark.parametrize(
    "asked",
    [
        "drift?window=0",
        "drift?window=x",
        "drift?version=3",
        "drift?windows=3",
        "history?kind=Trained!",
        "history?limit=1001",
        "history?actor=",
        "history?since=yesterday",
        "freshness?symbol=AAPL",
        "latency?window=-1",
        "latency?windows=1",
    ],
)
def test_what_is_not_understood_is_422(client: FlaskClient, asked: str) -> None:
    problem(client.get(f"/monitoring/{asked}"), 422, "invalid_request")
