from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from tests.web.conftest import KEY, MakeApp
from tests.web.http.test_errors import problem
from tests.web.platform import FakePlatform

ADMIN_ROUTES = [
    ("POST", "/admin/train"),
    ("GET", "/admin/train/status"),
    ("POST", "/admin/activate/v2"),
    ("POST", "/admin/rollback"),
    ("POST", "/admin/reload"),
    ("DELETE", "/admin/audit/clear"),
]


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
@pytest.mark.parametrize(("method", "path"), ADMIN_ROUTES)
def test_an_admin_route_needs_a_key(
    client: FlaskClient, tiny: FakePlatform, method: str, path: str, prefix: str
) -> None:
    for headers in (
        {},
        {"X-API-Key": ""},
        {"X-API-Key": "test-ke"},
        {"X-API-Key": "a-test-key-of-thirty-two-letters "},
    ):
        answer = client.open(prefix + path, method=method, headers=headers)
        if headers.get("X-API-Key", "").strip() == "a-test-key-of-thirty-two-letters":
            continue  # servers strip a header's white space; the test client does not
        problem(answer, 401, "unauthorized")
        assert "ApiKey" in answer.headers["WWW-Authenticate"]
    assert not tiny.models.done
    assert not tiny.control.runs.live


def test_a_key_in_the_query_is_no_key(client: FlaskClient) -> None:
    problem(
        client.post("/admin/reload?X-API-Key=a-test-key-of-thirty-two-letters"), 401, "unauthorized"
    )


@pytest.mark.parametrize(("method", "path"), ADMIN_ROUTES)
def test_without_keys_admin_routes_are_off(make_app: MakeApp, method: str, path: str) -> None:
    client = make_app(ADMIN_API_KEY="").test_client()
    for headers in ({}, {"X-API-Key": ""}, KEY):
        problem(client.open(path, method=method, headers=headers), 503, "admin_disabled")


def test_the_name_of_the_key_is_the_actor(make_app: MakeApp) -> None:
    first, second = "first" * 8, "zweiter-schlüssel" * 2
    client = make_app(ADMIN_API_KEY=f"ann:{first},bob:{second}").test_client()
    answer = client.delete("/admin/audit/clear", headers={"X-API-Key": first})
    assert answer.get_json() == {"cleared": 0, "actor": "ann"}
    raw = second.encode().decode("latin-1")
    answer = client.delete("/admin/audit/clear", environ_overrides={"HTTP_X_API_KEY": raw})
    assert answer.get_json()["actor"] == "bob"


def test_public_activation_is_off_unless_allowed(client: FlaskClient, tiny: FakePlatform) -> None:
    for headers in ({}, KEY):
        answer = client.post("/models/activate/v2", headers=headers)
        assert "POST /admin/activate/{version}" in str(problem(answer, 403, "forbidden")["detail"])
    assert not tiny.models.done


def test_public_activation_where_it_is_allowed(make_app: MakeApp, tiny: FakePlatform) -> None:
    client = make_app(PUBLIC_ACTIVATION="true").test_client()
    answer = client.post("/api/v1/models/activate/v2")
    assert answer.get_json() == {
        "active_version": "v2",
        "previous_version": "v2",
        "generation": 2,
        "actor": "public",
    }
    assert tiny.models.done == [("v2", "public", "asked over HTTP")]
