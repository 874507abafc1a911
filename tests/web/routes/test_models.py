from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from tests.web.conftest import KEY, MakeApp
from tests.web.http.test_errors import problem
from tests.web.platform import FakePlatform, manifest

HOSTILE = [
    "..",
    "..%2fx",
    "v1%2f..",
    "v1%2F..%2Fv2",
    "%2e%2e%2fx",
    "%252e%252e%252fx",
    "....//x",
    "../x",
    "v2/../v2",
    "v2%00",
    "v2%0a",
    "v2;",
    "v2%20",
    "v02",
    "v-1",
    "V2",
    "v%EF%BC%92",
    "v2\\..",
    "%5c..%5c",
    "v" + "1" * 4096,
    "x" * 4096,
    "%ff%fe",
    "%2fetc%2fpasswd",
    "/etc/passwd",
    "v2/",
    "v2/model.txt",
]


def test_the_list_has_the_fields_of_the_contract(client: FlaskClient) -> None:
    body = client.get("/models").get_json()
    assert body["active_version"] == "v2"
    corrupt, active = body["models"]
    assert corrupt == {
        "version": "v1",
        "created_at": None,
        "trained_through": None,
        "status": "corrupt",
        "fingerprint": None,
        "metrics": None,
        "verdict": None,
        "is_active": False,
        "pinned": False,
        "reproducible": None,
    }
    assert sorted(active) == sorted(corrupt)
    assert active["created_at"] == "2024-05-31T00:00:00Z"
    assert active["metrics"]["auc"] == {
        "value": 0.51,
        "low": 0.47,
        "high": 0.55,
        "baseline": 0.5,
        "baseline_kind": "coin_flip",
        "other_baselines": {},
        "reason": None,
        "improvement": None,
        "improvement_low": None,
        "improvement_high": None,
    }
    assert active["verdict"] == {
        "verdict": "no_edge",
        "metric": "auc",
        "value": 0.51,
        "null": 0.5,
        "low": 0.47,
        "high": 0.55,
        "level": 0.95,
        "recipes": 1,
    }


def test_a_model_is_its_manifest_with_is_active(client: FlaskClient) -> None:
    for path in ("/models/v2", "/model/v2", "/api/v1/models/v2", "/api/v1/model/v2"):
        body = client.get(path).get_json()
        assert body == {**manifest("v2").to_dict(), "reproducible": True, "is_active": True}
        assert body["created_at"] == "2024-05-31T00:00:00Z"


def test_an_unknown_or_refused_version_has_its_problem(client: FlaskClient) -> None:
    problem(client.get("/models/v7"), 404, "model_not_found")
    problem(client.get("/models/v1"), 503, "artifact_corrupt")


@pytest.mark.parametrize("version", HOSTILE)
def test_a_hostile_version_in_a_path_is_404(
    make_app: MakeApp, tiny: FakePlatform, version: str
) -> None:
    client = make_app(PUBLIC_ACTIVATION="true").test_client()
    for prefix in ("", "/api/v1"):
        for answer in (
            client.get(f"{prefix}/models/{version}"),
            client.get(f"{prefix}/model/{version}"),
            client.post(f"{prefix}/models/activate/{version}"),
            client.post(f"{prefix}/admin/activate/{version}", headers=KEY),
        ):
            problem(answer, 404, "model_not_found")
    assert not tiny.models.done


def test_the_word_activate_is_no_version(client: FlaskClient) -> None:
    problem(client.get("/models/activate"), 404, "model_not_found")
    answer = client.get("/models/activate/v2")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "OPTIONS, POST"


COMPARISON = {
    "a": "v2",
    "b": "v3",
    "loss": "log_loss",
    "reason": None,
    "common": {
        "rows": 900,
        "dates": 300,
        "symbols": 3,
        "start": "2024-05-31T00:00:00Z",
        "end": "2024-05-31T00:00:00Z",
    },
    "metrics": [{"metric": "auc", "a": 0.51, "b": None}],
    "test": {
        "dates": 300,
        "mean_difference": 0.001,
        "statistic": 1.5,
        "p_value": 0.0673,
        "kernel": "rectangular",
        "lags": 4,
    },
    "correlation": 0.9,
    "rank_correlation": None,
    "recipe": [{"field": "params.max_bin", "a": 63, "b": None}],
}


def test_two_models_are_compared_on_both_prefixes(client: FlaskClient) -> None:
    for path in ("/models/compare", "/api/v1/models/compare"):
        answer = client.get(f"{path}?a=v2&b=v3")
        assert (answer.status_code, answer.get_json()) == (200, COMPARISON)


def test_no_common_rows_are_an_answer_and_no_error(client: FlaskClient) -> None:
    body = client.get("/models/compare?a=v3&b=v2").get_json()
    assert (body["reason"], body["common"], body["metrics"]) == ("no_common_rows", None, [])
    assert (body["test"], body["correlation"]) == (None, None)
    assert sorted(body) == sorted(COMPARISON)


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("", {"a", "b"}),
        ("?a=v2", {"b"}),
        ("?a=v2&b=..", {"b"}),
        ("?a=v2&b=v02", {"b"}),
        ("?a=v2%00&b=V3", {"a", "b"}),
        ("?a=v2&a=v3&b=v2", {"a"}),
        ("?a=v2&b=v3&c=v4", {"c"}),
    ],
)
def test_a_malformed_version_in_a_query_is_422(
    client: FlaskClient, query: str, fields: set[str]
) -> None:
    answer = client.get(f"/models/compare{query}")
    assert set(problem(answer, 422, "invalid_request")["errors"]) == fields


def test_comparing_with_an_unknown_or_refused_version_has_its_problem(client: FlaskClient) -> None:
    problem(client.get("/models/compare?a=v2&b=v7"), 404, "model_not_found")
    problem(client.get("/models/compare?a=v7&b=v2"), 404, "model_not_found")
    problem(client.get("/models/compare?a=v1&b=v2"), 503, "artifact_corrupt")
    problem(client.get("/models/compare?a=v2&b=v3&model=other"), 404, "model_not_found")
    problem(client.post("/models/compare?a=v2&b=v3"), 405, "method_not_allowed")


def test_an_activation_takes_a_reason(make_app: MakeApp, tiny: FakePlatform) -> None:
    client = make_app(PUBLIC_ACTIVATION="true").test_client()
    answer = client.post("/models/activate/v2", json={"reason": "it is better"})
    assert answer.status_code == 200
    assert tiny.models.done == [("v2", "public", "it is better")]
    for body in ({"reason": ""}, {"reason": 3}, {"reason": "x" * 501}):
        refused = client.post("/models/activate/v2", json=body)
        assert set(problem(refused, 422, "invalid_request")["errors"]) == {"reason"}
