from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import orjson
import pytest
from flask import request
from flask.testing import FlaskClient
from marshmallow import Schema, fields, post_dump
from tests.web.answers import DAY, FakePredictService
from tests.web.conftest import KEY, MakeApp
from tests.web.http.test_errors import problem
from tests.web.platform import FakePlatform, failed_row
from werkzeug.test import TestResponse

from mlengine.core.pagination import encode_cursor
from mlengine.core.timestamps import rfc3339
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.web.http.responses import encode, encode_trusted_utc
from mlengine.web.schemas.predict import PredictQuery, prediction_body
from mlengine.web.serving.fast_path import fast_path_request_pattern

LogLines = Callable[[], list[dict[str, object]]]

PREDICTION_FIELDS = [
    "prediction_id",
    "request_id",
    "symbol",
    "interval",
    "as_of",
    "bar_timestamp",
    "horizon_bars",
    "objective",
    "probability_up",
    "expected_return",
    "expected_score",
    "prediction",
    "confidence",
    "usable",
    "reasons",
    "model",
    "model_version",
    "model_fingerprint",
    "model_verdict",
    "feature_set",
    "bars_hash",
    "trained_through",
    "in_sample",
    "known_symbol",
    "base_rate",
    "stale",
    "degraded",
    "point_in_time",
    "bars_age_seconds",
    "latency_ms",
]


class Timestamp(fields.Field[datetime]):
    def _serialize(self, value: datetime | None, *_: object, **__: object) -> str | None:
        return None if value is None else rfc3339(value)


class LatencyOut(Schema):
    bars = fields.Float()
    features = fields.Float()
    model = fields.Float()
    total = fields.Float()


class FeatureSetOut(Schema):
    name = fields.String()
    version = fields.Integer()
    hash = fields.String()
    window_bars = fields.Integer()


class ContributionOut(Schema):
    feature = fields.String()
    value = fields.Float()
    contribution = fields.Float()


class PredictionOut(Schema):
    """The contract, field by field and with its types."""

    prediction_id = fields.String()
    request_id = fields.String()
    symbol = fields.String()
    interval = fields.String()
    as_of = Timestamp()
    bar_timestamp = Timestamp()
    horizon_bars = fields.Integer()
    objective = fields.String()
    probability_up = fields.Float()
    expected_return = fields.Float()
    expected_score = fields.Float()
    prediction = fields.String()
    confidence = fields.Float()
    usable = fields.Boolean()
    reasons = fields.List(fields.String())
    model = fields.String()
    model_version = fields.String()
    model_fingerprint = fields.String()
    model_verdict = fields.String()
    feature_set = fields.Nested(FeatureSetOut)
    bars_hash = fields.String()
    trained_through = Timestamp()
    in_sample = fields.Boolean()
    known_symbol = fields.Boolean()
    base_rate = fields.Float()
    stale = fields.Boolean()
    degraded = fields.Boolean()
    point_in_time = fields.String()
    bars_age_seconds = fields.Float()
    latency_ms = fields.Nested(LatencyOut)
    raw_score = fields.Float()
    base_value = fields.Float()
    contributions = fields.List(fields.Nested(ContributionOut))

    @post_dump
    def drop_absent_explanation(self, data: dict[str, object], **_: object) -> dict[str, object]:
        explanation = ("raw_score", "base_value", "contributions")
        return {
            name: value
            for name, value in data.items()
            if name not in explanation or value is not None
        }


def batch(client: FlaskClient, **body: object) -> TestResponse:
    return client.post("/predict/batch", json=body)


def test_a_prediction_has_the_fields_of_the_contract(client: FlaskClient) -> None:
    for prefix in ("", "/api/v1"):
        answer = client.get(f"{prefix}/predict?symbol=AAPL&as_of=2024-06-01T00:00:00Z")
        body = answer.get_json()
        assert sorted(body) == sorted(PREDICTION_FIELDS)
        assert body["as_of"] == "2024-06-01T00:00:00Z"
        assert body["bar_timestamp"] == "2024-05-31T00:00:00Z"
        assert body["latency_ms"] == {"bars": 1.0, "features": 2.0, "model": 0.02, "total": 3.1}
        assert body["expected_return"] is None
        assert b'"probability_up":0.30000000000000004,' in answer.data


def test_without_as_of_the_moment_of_the_request_is_shown(client: FlaskClient) -> None:
    assert client.get("/predict?symbol=AAPL").get_json()["as_of"].endswith("Z")


def test_contributions_come_only_when_asked(client: FlaskClient) -> None:
    body = client.get("/predict?symbol=AAPL&explain=true").get_json()
    assert (body["raw_score"], body["base_value"]) == (-0.35, -0.1)
    assert body["contributions"] == [{"feature": "rsi_14", "value": None, "contribution": -0.25}]


@pytest.mark.parametrize("explain", [True, False])
def test_a_prediction_is_written_as_its_schema_shows_it(explain: bool) -> None:
    zone = timezone(timedelta(0), "UTC")
    for as_of in (DAY, DAY.replace(microsecond=7), DAY.replace(tzinfo=zone)):
        query = {"as_of": as_of, "version": None, "explain": explain}
        answer = FakePredictService().predict(
            "AAPL", PredictionRequest(**query, request_id="r", now=DAY)
        )
        for prediction in (answer, replace(answer, base_rate=math.nan, reasons=("bar_too_old",))):
            rendered = PredictionOut().dump(prediction)
            body = encode_trusted_utc(prediction_body(prediction))
            assert orjson.loads(body) == orjson.loads(encode(rendered))
            assert list(prediction_body(prediction)) == list(rendered)


@pytest.mark.parametrize(
    "query",
    ["symbol=AAPL", "symbol=A", "symbol=BTC-USD", "symbol=a=b", "symbol=A/B:c._^"],
)
def test_the_plain_question_is_what_the_schema_makes_of_it(client: FlaskClient, query: str) -> None:
    with client.application.test_request_context(f"/predict?{query}"):
        loaded = PredictQuery().load(request.args.to_dict())
    assert loaded == {"symbol": _plain_symbol(query), "as_of": None, "version": None} | {
        "explain": False
    }


@pytest.mark.parametrize(
    "query",
    [
        "",
        "symbol",
        "symbol=",
        "symbol=%41",
        "symbol=A+B",
        "symbol=A&symbol=B",
        "symbol=A&explain=true",
        "Symbol=A",
        "symbol=A\n",
        f"symbol={'x' * 33}",
        "symbol=é",
        "symbol=^GSPC",
    ],
)
def test_any_other_question_is_left_to_the_schema(query: str) -> None:
    assert _plain_symbol(query) is None


def _plain_symbol(query: str) -> str | None:
    """What is asked for where the server answers without the framework."""
    line = fast_path_request_pattern(["/predict"]).match(
        f"GET /predict?{query} HTTP/1.1\r\n".encode()
    )
    return line[2].decode() if line else None


_COUNTED = ("X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit")


@pytest.mark.parametrize("limit", ["0", "1000"])
@pytest.mark.parametrize("symbol", ["AAPL", "NOPE", "DOWN", "SHORT", "UNAUDITED", "CRASH", "a b"])
def test_both_ways_to_a_prediction_answer_alike(make_app: MakeApp, symbol: str, limit: str) -> None:
    """What is asked in other words goes through the framework."""
    client, headers = make_app(RATE_LIMIT_REQUESTS=limit).test_client(), {"X-Request-ID": "r-1"}
    for path in ("/predict", "/api/v1/predict"):
        one, other = (
            client.get(f"{path}?symbol={symbol}{more}", headers=headers)
            for more in ("", "&explain=false")
        )
        assert one.status_code == other.status_code
        first, second = (
            {name: value for name, value in each.headers.items() if name not in _COUNTED}
            for each in (one, other)
        )
        assert first == second
        assert sorted(one.headers.keys()) == sorted(other.headers.keys())
        same = (body for body in (one.get_json(), other.get_json()))
        first, second = ({**body, "as_of": None} for body in same)
        assert first == second


def test_the_short_way_writes_the_same_log_line(make_app: MakeApp, log_lines: LogLines) -> None:
    for more in ("", "&explain=false"):
        make_app().test_client().get(f"/api/v1/predict?symbol=AAPL{more}")
    own = {"ts", "ms", "request_id", "trace_id"}
    short, long = ({k: v for k, v in line.items() if k not in own} for line in log_lines())
    assert short == long


def test_a_failure_on_the_short_way_is_asked_for_and_logged_once(
    make_app: MakeApp, tiny: FakePlatform, log_lines: LogLines
) -> None:
    client = make_app(RATE_LIMIT_REQUESTS="0").test_client()
    problem(client.get("/predict?symbol=NOPE"), 404, "unknown_symbol")
    (line,) = log_lines()
    assert (line["status"], line["code"]) == (404, "unknown_symbol")
    assert tiny.predict.refused == ["NOPE"]


def test_a_version_can_be_named(client: FlaskClient) -> None:
    assert client.get("/predict?symbol=AAPL&version=v1").get_json()["model_version"] == "v1"
    problem(client.get("/predict?symbol=AAPL&version=v9"), 404, "model_not_found")


@pytest.mark.parametrize("version", ["v0", "../x", "v１", "v1/..", "x" * 4096, "latest"])
def test_a_malformed_version_in_a_query_or_body_is_422(client: FlaskClient, version: str) -> None:
    for answer in (
        client.get("/predict", query_string={"symbol": "AAPL", "version": version}),
        batch(client, symbols=["AAPL"], version=version),
    ):
        assert set(problem(answer, 422, "invalid_request")["errors"]) == {"version"}


def test_another_model_line_is_404_on_every_route(client: FlaskClient) -> None:
    for path in (
        "/predict?symbol=AAPL",
        "/predictions/recent?limit=1",
        "/features?symbol=AAPL",
        "/models?",
        "/models/v2?",
        "/monitoring/drift?",
        "/monitoring/history?",
        "/monitoring/freshness?",
        "/monitoring/latency?",
        "/admin/train/status?",
    ):
        assert client.get(f"{path}&model=main", headers=KEY).status_code == 200
        problem(client.get(f"{path}&model=other", headers=KEY), 404, "model_not_found")
        problem(client.get(f"{path}&model=", headers=KEY), 404, "model_not_found")
    for path in ("train", "activate/v2", "rollback", "reload"):
        answer = client.post(f"/admin/{path}?model=other", headers=KEY)
        problem(answer, 404, "model_not_found")
    answer = client.delete("/admin/audit/clear?model=other", headers=KEY)
    problem(answer, 404, "model_not_found")
    problem(client.post("/predict/batch?model=x", json={}), 404, "model_not_found")
    problem(batch(client, symbols=["AAPL"], model="x"), 404, "model_not_found")


def test_good_and_bad_symbols_of_a_batch_keep_their_order(client: FlaskClient) -> None:
    symbols = ["AAPL", "NOPE", "a b", "MSFT", "AAPL", "é", "", "DOWN", "x" * 500]
    body = batch(client, symbols=symbols).get_json()
    assert body["model_version"] == "v2"
    assert [item["symbol"] for item in body["results"]] == [*symbols[:-1], "x" * 128]
    assert [item["status"] for item in body["results"]] == [
        "ok",
        "error",
        "error",
        "ok",
        "ok",
        "error",
        "error",
        "error",
        "error",
    ]
    assert [item["error"]["code"] for item in body["results"] if "error" in item] == [
        "unknown_symbol",
        "unknown_symbol",
        "unknown_symbol",
        "invalid_request",
        "upstream_unavailable",
        "invalid_request",
    ]
    assert body["summary"] == {"requested": 9, "succeeded": 3, "failed": 6}


def test_what_is_no_text_is_its_own_item_s_error(client: FlaskClient) -> None:
    symbols = ["AAPL", None, 5, True, 1.5, ["AAPL"], {"symbol": "AAPL"}, "MSFT"]
    body = batch(client, symbols=symbols).get_json()
    assert [item["symbol"] for item in body["results"]] == ["AAPL", *[None] * 6, "MSFT"]
    refused = [item["error"]["code"] for item in body["results"] if item["status"] == "error"]
    assert refused == ["invalid_request"] * 6
    assert body["summary"] == {"requested": 8, "succeeded": 2, "failed": 6}


def test_a_batch_item_has_the_fields_of_a_single_answer(client: FlaskClient) -> None:
    (item,) = batch(client, symbols=["AAPL"], as_of="2024-05-30").get_json()["results"]
    assert sorted(item) == sorted([*PREDICTION_FIELDS, "status"])
    assert item["as_of"] == "2024-05-31T00:00:00Z"


def test_a_batch_without_one_valid_symbol_is_answered(client: FlaskClient) -> None:
    body = batch(client, symbols=["a b"], as_of=None, version=None).get_json()
    assert body["summary"] == {"requested": 1, "succeeded": 0, "failed": 1}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, {"symbols"}),
        ({"symbols": []}, {"symbols"}),
        ({"symbols": "AAPL"}, {"symbols"}),
        ({"symbols": None}, {"symbols"}),
        ({"symbols": {"AAPL": 1}}, {"symbols"}),
        ({"symbols": 3}, {"symbols"}),
        ({"symbols": ["AAPL"], "explain": True}, {"explain"}),
        ({"symbols": ["AAPL"], "as_of": 5}, {"as_of"}),
        ({"symbols": ["AAPL"], "as_of": "2999-01-01"}, {"as_of"}),
        ({"symbols": ["AAPL"], "version": 2}, {"version"}),
        ({"symbols": ["AAPL"], "model": 2}, {"model"}),
    ],
)
def test_a_body_that_is_not_understood_is_422_and_names_the_field(
    client: FlaskClient, body: dict[str, object], named: set[str]
) -> None:
    answer = batch(client, **body)
    assert set(problem(answer, 422, "invalid_request")["errors"]) == named


def test_a_batch_is_bounded_by_the_settings(make_app: MakeApp) -> None:
    client = make_app(MAX_BATCH_SYMBOLS="2").test_client()
    assert batch(client, symbols=["AAPL"] * 2).status_code == 200
    body = problem(batch(client, symbols=["AAPL"] * 3), 422, "invalid_request")
    assert body["errors"] == {"symbols": ["must hold 1 to 2 symbols"]}


def test_recent_rows_are_as_single_answers_with_status_and_error(
    client: FlaskClient, tiny: FakePlatform
) -> None:
    tiny.audit.rows.extend([failed_row(), failed_row("XX")])
    body = client.get("/predictions/recent?limit=1").get_json()
    assert body["next_cursor"] == encode_cursor(7)
    (row,) = body["predictions"]
    # What a training said stands in its manifest, and not in each row.
    kept = [name for name in PREDICTION_FIELDS if name != "model_verdict"]
    assert sorted(row) == sorted([*kept, "at", "route", "status", "error", "trace_id"])
    assert (row["status"], row["at"], row["feature_set"]) == (
        "error",
        "2024-05-31T00:00:00Z",
        None,
    )
    assert row["error"]["code"] == "unknown_symbol"
    assert row["latency_ms"] == {"bars": 1.0, "features": None, "model": None, "total": 1.5}


def test_recent_can_be_filtered_and_paged(client: FlaskClient, tiny: FakePlatform) -> None:
    tiny.audit.rows.extend([failed_row(), failed_row("XX")])
    query = f"symbol=XX&version=v2&cursor={encode_cursor(3)}"
    body = client.get(f"/predictions/recent?{query}").get_json()
    assert [row["symbol"] for row in body["predictions"]] == ["XX"]
    assert body["next_cursor"] is None


@pytest.mark.parametrize("cursor", ["", "!", "x" * 65, "AAAA", "%00"])
def test_a_cursor_that_is_not_ours_is_422(client: FlaskClient, cursor: str) -> None:
    for path in ("/predictions/recent", "/monitoring/history"):
        answer = client.get(f"{path}?cursor={cursor}")
        assert set(problem(answer, 422, "invalid_request")["errors"]) == {"cursor"}
