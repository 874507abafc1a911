from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from tests.platforms import make_platform, settings

from mlengine.app import create_app
from mlengine.core.telemetry.families import FAMILIES
from mlengine.web.http.telemetry.request_metrics import route_of


def make_app(folder: Path) -> Flask:
    return create_app(settings(folder), make_platform(folder))


def values(text: str) -> Mapping[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_text_is_that_of_prometheus(client: FlaskClient) -> None:
    answer = client.get("/metrics")
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    found = values(answer.text)
    labels = {("route", "/predict"), ("method", "GET")}
    requests = "mlengine_http_requests_total", frozenset({*labels, ("status", "200")})
    assert found[requests] == 3.0
    seconds = "mlengine_http_request_duration_seconds"
    assert found[f"{seconds}_sum", frozenset(labels)] == 0.5
    assert found[f"{seconds}_bucket", frozenset({*labels, ("le", "+Inf")})] == 1.0


def test_requests_are_counted_by_template_and_never_by_path(tmp_path: Path) -> None:
    client = make_app(tmp_path).test_client()
    for path in ("/models/v1", "/api/v1/models/v1", "/models/v77", "/no/such/path", "/health"):
        client.get(path)
    client.open("/health", method="BREW")
    found = values(client.get("/metrics").text)
    counted = {
        tuple(dict(labels)[name] for name in ("route", "method", "status")): value
        for (name, labels), value in found.items()
        if name == "mlengine_http_requests_total"
    }
    assert counted == {
        ("/models/{version}", "GET", "200"): 2,
        ("/models/{version}", "GET", "404"): 1,
        ("unmatched", "GET", "404"): 1,
        ("/health", "GET", "200"): 1,
        ("unmatched", "other", "405"): 1,
    }


def test_predictions_and_what_they_needed_are_counted(tmp_path: Path) -> None:
    client = make_app(tmp_path).test_client()
    for path in ("?symbol=AAA", "?symbol=AAA", "?symbol=NONE", "?symbol=AAA&version=v1234"):
        client.get(f"/predict{path}")
    found = values(client.get("/metrics").text)

    def value(name: str, **labels: str) -> float | None:
        return found.get((f"mlengine_{name}", frozenset(labels.items())))

    assert value("predictions_total", model="main", version="v1", status="ok") == 2
    assert value("predictions_total", model="main", version="v1", status="unknown_symbol") == 1
    assert value("predictions_total", model="main", version="none", status="model_not_found") == 1
    assert value("feature_cache_lookups_total", result="miss") == 1
    assert value("feature_cache_lookups_total", result="hit") == 1
    assert value("upstream_calls_total") == 3
    assert value("prediction_stage_duration_seconds_count", route="/predict", stage="bars") == 2
    assert value("symbols", state="stale") == 1
    assert value("database_up") == 1
    assert value("model_info", version="v1") == 1
    assert value("drift_e_value", model="main") == 0
    assert value("drift_status", model="main", status="insufficient_data") == 1


def test_a_database_that_is_gone_fails_no_scrape(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    client = app.test_client()
    app.extensions["mlengine"].control.database.dispose()
    (tmp_path / "artifacts/audit.db").unlink()
    found = values(client.get("/metrics").text)
    assert found["mlengine_database_up", frozenset()] == 0
    assert ("mlengine_queue_depth", frozenset()) not in found


def test_every_family_says_what_it_is_in_the_words_of_prometheus() -> None:
    names = [family.full_name for family in FAMILIES]
    assert len(names) == len(set(names))
    for family in FAMILIES:
        assert re.fullmatch(r"mlengine_[a-z_]+", family.full_name)
        assert family.full_name.endswith("_total") == (family.kind == "counter")
        assert family.help.endswith(".")


def test_a_route_has_neither_prefix_nor_converter() -> None:
    assert route_of("/api/v1/models/<version:version>/x/<id>") == "/models/{version}/x/{id}"
    assert route_of("/api/v10") == "/api/v10"
