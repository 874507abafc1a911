"""The table of rights on the real application: each route, each kind of key, each prefix."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from tests.named_keys import LONG_AGO, add_key, revoke_key
from tests.platforms import make_platform, settings
from tests.web.conformance import ConformingClient
from tests.web.conftest import MakeApp
from tests.web.rights import RIGHTS

from mlengine.app import PREFIXES, create_app
from mlengine.core.keys import SCOPES, Scope
from mlengine.core.timestamps import rfc3339
from mlengine.web.http.auth import ACTIVATION, OPEN_BY_DEFAULT, PUBLIC, Guard

ADMIN = "a-test-key-of-thirty-two-letters"
NO_KEY = frozenset[Scope]()
PATHS = {
    "<version:version>": "v2",
    "<prediction_id>": "p9",
    "<page_file>": "swagger-ui.css",
    "<hook_id>": "hook_1",
    "<export_id>": "0" * 32,
}


class Keys:
    """Each kind of key, and the scopes that it has; None has no right to any."""

    def __init__(self, path: Path) -> None:
        self.sent: dict[str, tuple[str | None, frozenset[Scope] | None]] = {
            "no key": (None, None),
            "empty": ("", None),
            "a wrong admin's": (ADMIN[:-1], None),
            "admin": (ADMIN, frozenset(SCOPES)),
        }
        for scope in SCOPES:
            self.sent[scope] = add_key(path, f"only-{scope}", scope), frozenset((scope,))
        key = self.sent["read"][0] or ""
        every = add_key(path, "every", *SCOPES)
        others = add_key(path, "others", "read", "audit")
        self.sent |= {
            "every scope": (every, frozenset(SCOPES)),
            "two scopes": (others, frozenset(("read", "audit"))),
            "a wrong secret": (key[:-1] + "x", None),
            "an unknown name": (key.replace("only-read", "nobody"), None),
            "another's secret": (key.replace("only-read", "gone"), None),
            "expired": (add_key(path, "expired", *SCOPES, expires_at=datetime.now(UTC)), None),
            "revoked": (add_key(path, "revoked", *SCOPES), None),
        }
        revoke_key(path, "revoked")


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keys:
    """Hashed cheaply: some hundred are asked with."""
    monkeypatch.setattr("mlengine.core.keys._SCRYPT_COST", 16)
    return Keys(tmp_path / "keys.json")


def variables(folder: Path) -> dict[str, str]:
    return {
        "API_KEYS_FILE": str(folder / "keys.json"),
        "PUBLIC_ACTIVATION": "true",
        "FAILED_KEYS_PER_MINUTE": "0",
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }


def application(folder: Path, **changed: str) -> Flask:
    """A real platform, as are the files that it serves."""
    changed = {**variables(folder), **changed}
    platform = make_platform(folder, models=2, **changed)
    return create_app(settings(folder, **changed), platform=platform)


def expected(guard: Guard, scopes: frozenset[Scope] | None, *, everywhere: bool) -> int | None:
    """401 or 403, or None where the key opens the route."""
    is_open = guard.kind == PUBLIC
    is_open |= guard.kind in (OPEN_BY_DEFAULT, ACTIVATION) and not everywhere
    if is_open:
        return None
    if scopes is None:
        return 401
    return 403 if scopes.isdisjoint(guard.scopes) else None


def requests_of(app: Flask, methods: set[str]) -> Iterator[tuple[str, str, Guard]]:
    """Method, path and decision, for both prefixes."""
    for rule in app.url_map.iter_rules():
        prefix = max((each for each in PREFIXES.values() if rule.rule.startswith(each)), key=len)
        path = rule.rule
        for variable, value in PATHS.items():
            path = path.replace(variable, value)
        for method in methods & (rule.methods or set()):
            declared = "GET" if method == "HEAD" else method
            yield method, path, RIGHTS[declared, rule.rule.removeprefix(prefix)]


def refusal(client: FlaskClient, method: str, path: str, key: str | None) -> int | None:
    """The status of a refusal of the key, whose problem is checked."""
    headers = {} if key is None else {"X-API-Key": key}
    answer = client.open(path, method=method, headers=headers)
    if answer.status_code not in (401, 403):
        assert answer.status_code < 500 or answer.status_code == 503, f"{method} {path}"
        return None
    assert answer.mimetype == "application/problem+json"
    assert ("WWW-Authenticate" in answer.headers) == (answer.status_code == 401)
    assert not key or key not in answer.get_data(as_text=True)
    return answer.status_code


def table(
    app: Flask, keys: Keys, methods: set[str], *, everywhere: bool = False
) -> tuple[int, list[str]]:
    """How many requests were made, and those whose answer is not that of the table."""
    client, wrong, made = app.test_client(), [], 0
    for method, path, guard in requests_of(app, methods):
        for kind, (key, scopes) in keys.sent.items():
            got, made = refusal(client, method, path, key), made + 1
            if got != (want := expected(guard, scopes, everywhere=everywhere)):
                wrong.append(f"{method} {path} by {kind}: {got}, not {want}")
    return made, wrong


def test_every_route_that_changes_something_heeds_the_table(tmp_path: Path, keys: Keys) -> None:
    made, wrong = table(application(tmp_path), keys, {"POST", "PUT", "PATCH", "DELETE"})
    assert (made, wrong) == (2 * 17 * len(keys.sent), [])


@pytest.mark.parametrize("require", ["admin", "all"])
def test_every_route_of_all_methods_heeds_the_table(
    tmp_path: Path, keys: Keys, make_app: MakeApp, require: str
) -> None:
    app = make_app(**variables(tmp_path), REQUIRE_KEY=require)
    for slow in ("a wrong secret", "another's secret"):  # each costs a hash
        del keys.sent[slow]
    made, wrong = table(app, keys, {"GET", "POST", "DELETE"}, everywhere=require == "all")
    assert wrong == []
    assert made >= 2 * len(RIGHTS) * len(keys.sent)


def test_a_refusal_names_the_scope_that_is_needed(tmp_path: Path, keys: Keys) -> None:
    client = application(tmp_path).test_client()
    key = {"X-API-Key": str(keys.sent["read"][0])}
    body = client.post("/admin/train", headers=key).get_json()
    assert (body["code"], body["detail"]) == (
        "forbidden",
        "this needs a key with the scope `train`",
    )
    assert client.post("/admin/rollback", headers=key).get_json()["detail"].endswith("`activate`")


def test_a_refusal_says_whether_a_key_is_missing_wrong_expired_or_revoked(
    tmp_path: Path, keys: Keys
) -> None:
    client = application(tmp_path).test_client()

    def detail(kind: str) -> str:
        headers = {"X-API-Key": keys.sent[kind][0] or ""}
        return str(client.post("/admin/train", headers=headers).get_json()["detail"])

    assert detail("no key") == "a key is needed in the header X-API-Key"
    assert detail("expired").endswith("is expired")
    assert detail("revoked").endswith("is revoked")
    wrong = {detail(kind) for kind in ("a wrong secret", "an unknown name", "a wrong admin's")}
    assert len(wrong) == 1


def test_the_history_and_the_runs_have_the_name_of_the_key(tmp_path: Path, keys: Keys) -> None:
    app = application(tmp_path)
    client = app.test_client()
    for kind, path in (("activate", "/admin/activate/v2"), ("train", "/admin/train")):
        client.post(path, headers={"X-API-Key": str(keys.sent[kind][0])})
    events = client.get("/monitoring/history").get_json()["events"]
    actors = {(event["kind"], event["actor"]) for event in events}
    assert {("admin_action", "only-activate"), ("activated", "only-activate")} <= actors
    runs = client.get("/admin/train/runs", headers={"X-API-Key": ADMIN}).get_json()["runs"]
    assert [run["actor"] for run in runs] == ["only-train"]
    assert not any(str(key) in json.dumps(events) for key, _ in keys.sent.values() if key)


def test_keys_that_come_and_go_are_heeded_at_once(tmp_path: Path, keys: Keys) -> None:
    path, client = tmp_path / "keys.json", application(tmp_path).test_client()
    new = add_key(path, "new", "activate")

    def ask() -> int:
        return client.post("/admin/activate/v1", headers={"X-API-Key": new}).status_code

    assert ask() == 200
    revoke_key(path, "new")
    assert ask() == 401
    assert add_key(path, "new", "activate") == new, "its secret and salt are those of the test"
    assert ask() == 200


def test_a_damaged_file_keeps_the_keys_and_is_reported(tmp_path: Path, keys: Keys) -> None:
    path, client = tmp_path / "keys.json", application(tmp_path).test_client()
    key = {"X-API-Key": str(keys.sent["activate"][0])}
    whole = path.read_bytes()
    assert client.get("/health").get_json()["checks"]["keys"] == "ok"
    path.write_bytes(whole[:100])
    health = client.get("/health").get_json()
    assert (health["status"], health["checks"]["keys"]) == ("degraded", "degraded")
    assert client.post("/admin/reload", headers=key).get_json()["keys"] == "degraded"
    path.write_bytes(whole)
    assert client.post("/admin/reload", headers=key).get_json()["keys"] == "ok"
    assert client.get("/health").get_json()["checks"]["keys"] == "ok"


def test_a_closed_answer_is_kept_by_no_proxy(tmp_path: Path, keys: Keys) -> None:
    client = application(tmp_path, REQUIRE_KEY="all").test_client()
    path = f"/features?symbol=AAA&as_of={rfc3339(LONG_AGO.replace(month=12))}"
    answer = client.get(path, headers={"X-API-Key": str(keys.sent["read"][0])})
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "private, max-age=86400, immutable"


def test_an_activation_takes_two_keys_where_it_needs_approval(tmp_path: Path, keys: Keys) -> None:
    approvals = {"ACTIVATION_APPROVALS": "true", "PUBLIC_ACTIVATION": ""}
    app = application(tmp_path, **approvals)
    app.test_client_class = ConformingClient
    client = app.test_client()
    first, second = ({"X-API-Key": str(keys.sent[kind][0])} for kind in ("activate", "admin"))
    asked = client.post("/api/v1/admin/activate/v2", headers=first)
    assert (asked.status_code, asked.get_json()) == (
        202,
        {
            "version": "v2",
            "state": "pending",
            "requested_by": "only-activate",
            "reason": "asked over HTTP",
        },
    )
    location = asked.headers["Location"]
    assert location == "/api/v1/monitoring/history?kind=activation_requested"
    assert client.get(location).get_json()["events"][0]["actor"] == "only-activate"
    again = client.post("/admin/activate/v2", headers=first)
    assert (again.status_code, again.get_json()["code"]) == (409, "approval_needed")
    confirmed = client.post("/admin/activate/v2", headers=second)
    assert (confirmed.status_code, confirmed.get_json()["actor"]) == (200, "admin")
    assert client.post("/models/activate/v1").status_code == 403
