"""HEAD asks for the headers of an answer, and leaves nothing in the audit."""

from __future__ import annotations

import http.client
from pathlib import Path

from flask import Flask
from tests.platforms import make_platform, settings
from tests.serving import serving

from mlengine.app import create_app
from mlengine.bootstrap.platform import Platform

PREDICTIONS = (
    "/predict?symbol=AAA",
    "/predict?symbol=NOPE",
    "/predict?symbol=AAA&explain=true&as_of=2020-12-01",
    "/predict?symbol=AAA&version=v9",
    "/predict?symbol=AAA&as_of=yesterday",
)


def audited(platform: Platform) -> int:
    return len(platform.audit.recent(limit=1000).rows)


def test_head_of_every_route_leaves_the_audit_as_it_is(tmp_path: Path) -> None:
    platform = make_platform(tmp_path)
    client = create_app(settings(tmp_path), platform).test_client()
    assert client.get("/predict?symbol=AAA").status_code == 200
    before = audited(platform)
    for path in reading_paths(client.application):
        assert client.head(path).data == b""
    assert audited(platform) == before
    assert not platform.audit.spooled


def test_head_of_a_prediction_says_what_get_says(tmp_path: Path) -> None:
    platform = make_platform(tmp_path)
    client = create_app(settings(tmp_path), platform).test_client()
    for path in PREDICTIONS:
        before = audited(platform)
        head, get = client.head(path), client.get(path)
        assert (head.status_code, head.mimetype) == (get.status_code, get.mimetype), path
        assert audited(platform) - before == (get.status_code != 422)


def test_the_server_answers_head_without_a_body_and_without_a_row(tmp_path: Path) -> None:
    platform = make_platform(tmp_path)
    with serving(tmp_path, ready="/health", WEB_WORKERS="1") as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        for method, rows in [("HEAD", 0), ("GET", 1), ("HEAD", 1), ("HEAD", 1), ("GET", 2)]:
            connection.request(method, "/predict?symbol=AAA")
            answer = connection.getresponse()
            assert answer.status == 200
            assert bool(answer.read()) == (method == "GET")
            assert audited(platform) == rows
        for path in ("/livez", "/readyz", "/v2/health/live", "/v2/health/ready", "/"):
            connection.request("HEAD", path)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"")
        connection.close()


def reading_paths(app: Flask) -> list[str]:
    """Every path that is read, with values for its variables."""
    values = {"version": "v1", "prediction_id": "0" * 32, "page_file": "start.js"}
    values |= {"export_id": "0" * 32}
    paths = [
        (rule.build({name: values[name] for name in rule.arguments}) or ("", ""))[1]
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or ())
    ]
    prefixes = ("", "/api/v1")
    return [*paths, *(f"{prefix}{path}" for prefix in prefixes for path in PREDICTIONS)]
