from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from tests.web.conftest import KEY
from tests.web.http.test_errors import problem
from tests.web.platform import FakePlatform


def test_a_hook_is_added_and_its_secret_shown(client: FlaskClient, tiny: FakePlatform) -> None:
    body = {"url": "https://hooks.example.com/x", "events": ["model.*", "bars.revised"]}
    answer = client.post("/admin/hooks", json=body, headers=KEY)
    assert answer.status_code == 201
    shown = answer.get_json()
    assert shown["id"].startswith("hook_")
    assert shown == {
        "id": shown["id"],
        "host": "hooks.example.com",
        "events": ["model.*", "bars.revised"],
        "secret": "whsec_32",
    }
    (call,) = tiny.control.hooks.calls
    assert call[:-1] == (
        *("add", "https://hooks.example.com/x", ("model.*", "bars.revised"), "admin"),
    )


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": ""}, "url"),
        ({"url": "https://a.example/", "events": ["model.baked"]}, "events.0"),
        ({"url": "https://a.example/", "secret": "mine"}, "secret"),
    ],
)
def test_a_hook_that_makes_no_sense_is_refused(
    client: FlaskClient, body: dict[str, object], field: str
) -> None:
    refused = problem(client.post("/admin/hooks", json=body, headers=KEY), 422, "invalid_request")
    assert field in refused["errors"]


def test_hooks_are_listed_without_their_addresses(client: FlaskClient) -> None:
    (hook,) = client.get("/admin/hooks", headers=KEY).get_json()["hooks"]
    assert (hook["host"], hook["pending"], hook["delivered"]) == ("hooks.example.com", 1, 2)
    assert not {"url", "secret"} & hook.keys()


def test_what_is_done_to_a_hook_is_answered(client: FlaskClient, tiny: FakePlatform) -> None:
    tested = client.post("/admin/hooks/hook_1/test", headers=KEY)
    assert tested.get_json() == {"id": "hook_1", "state": "queued", "actor": "admin"}
    since = {"since": "2026-01-05"}
    again = client.post("/admin/hooks/hook_1/redeliver", json=since, headers=KEY)
    assert again.get_json() == {"id": "hook_1", "messages": 3}
    rotated = client.post("/admin/hooks/hook_1/rotate", headers=KEY)
    assert rotated.get_json()["secret"] == "whsec_32"
    removed = client.delete("/admin/hooks/hook_1", headers=KEY)
    assert removed.get_json() == {"removed": "hook_1", "actor": "admin"}
    calls = [call[0] for call in tiny.control.hooks.calls]
    assert calls == ["test", "redeliver", "rotate", "remove"]


def test_a_time_that_is_no_text_is_refused(client: FlaskClient) -> None:
    body = {"since": {"year": 2026}}
    answer = client.post("/admin/hooks/hook_1/redeliver", json=body, headers=KEY)
    assert "since" in problem(answer, 422, "invalid_request")["errors"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/test"), ("POST", "/redeliver"), ("POST", "/rotate"), ("DELETE", "")],
)
def test_a_hook_that_is_not_there_is_404(client: FlaskClient, method: str, path: str) -> None:
    answer = client.open(f"/admin/hooks/hook_2{path}", method=method, headers=KEY)
    problem(answer, 404, "hook_not_found")
