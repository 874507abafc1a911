"""`traceparent`: in every line, in the audit, with the run, and sent on to the upstream."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from tests.factories import random_bars
from tests.platforms import SYMBOLS, make_platform, settings
from tests.serving import serving
from tests.upstream import LoopbackUpstream
from tests.web.conftest import KEY, MakeApp
from tests.web.platform import FakePlatform
from tests.web.serving.connections import line_to, raw

from mlengine.app import create_app
from mlengine.core.trace_context import parse_traceparent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SENT = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "tracestate": "vendor=1"}
NONE_OF_ONE = ["", "nonsense", f"00-{'0' * 32}-00f067aa0ba902b7-01", SENT["traceparent"] + "-x"]

LogLines = Callable[[], list[dict[str, object]]]


def test_every_line_of_a_request_says_its_trace(make_app: MakeApp, log_lines: LogLines) -> None:
    client = make_app().test_client()
    client.get("/predict?symbol=CRASH", headers=SENT)
    lines = log_lines()
    assert {line["event"] for line in lines} == {"request failed", "request"}
    assert {line["trace_id"] for line in lines} == {TRACE}
    client.get("/models")
    assert TRACE not in str(log_lines()), "nothing rides on the lines of the next"


@pytest.mark.parametrize("sent", NONE_OF_ONE)
def test_a_trace_that_is_none_is_made(make_app: MakeApp, log_lines: LogLines, sent: str) -> None:
    client = make_app().test_client()
    client.get("/models", headers={"traceparent": sent})
    (line,) = log_lines()
    assert line["trace_id"] == line["request_id"]
    client.get("/models", headers={"traceparent": sent, "X-Request-ID": "r-1"})
    (line,) = log_lines()
    assert parse_traceparent(f"00-{line['trace_id']}-{'1' * 16}-00")
    assert line["request_id"] == "r-1"


def test_a_run_keeps_the_trace_that_asked_for_it(make_app: MakeApp, tiny: FakePlatform) -> None:
    client = make_app(ADMIN_API_KEY=KEY["X-API-Key"]).test_client()
    client.post("/admin/train", headers={**KEY, **SENT})
    assert tiny.control.runs.live[0].traceparent == SENT["traceparent"]
    status = client.get("/admin/train/status", headers=KEY).get_json()
    assert status["traceparent"] == SENT["traceparent"]


@pytest.mark.parametrize("path", ["/predict?symbol=AAA", "/predict?symbol=NOPE"])
def test_the_audit_keeps_the_trace(tmp_path: Path, path: str) -> None:
    platform = make_platform(tmp_path)
    client = create_app(settings(tmp_path), platform).test_client()
    for headers in ({}, SENT, {"X-Request-ID": "r-1"}, {**SENT, "X-Request-ID": TRACE}):
        client.get(path, headers=headers)
        (row,) = client.get("/predictions/recent?limit=1").get_json()["predictions"]
        found = client.get(f"/predictions/{row['prediction_id']}").get_json()
        assert found["trace_id"] == row["trace_id"]
        if "traceparent" in headers:
            assert row["trace_id"] == TRACE
        elif not headers:
            assert row["trace_id"] == row["request_id"]
        else:
            assert len(row["trace_id"]) == 32


def test_the_server_takes_a_trace_however_it_answers_and_its_header_is_written(
    tmp_path: Path,
) -> None:
    make_platform(tmp_path)
    ready = "/predict?symbol=AAA"
    with (
        serving(tmp_path, ready=ready, WEB_WORKERS="1") as server,
        line_to(server.port) as line,
    ):
        for name in ("traceparent", "Traceparent", "TraceParent", "TRACEPARENT"):
            for more in ([], ["X-Request-ID: r-1"], ["Content-Length: 0"]):
                trace = f"{name}: {SENT['traceparent']}"
                _, body = line.ask(raw(f"GET {ready} HTTP/1.1", trace, *more))
                _, row = line.ask(raw(f"GET /predictions/{body['prediction_id']} HTTP/1.1"))
                assert row["trace_id"] == TRACE
        for sent in (*NONE_OF_ONE, f"{SENT['traceparent']}\r\ntraceparent: {SENT['traceparent']}"):
            _, body = line.ask(raw(f"GET {ready} HTTP/1.1", f"traceparent: {sent}"))
            _, row = line.ask(raw(f"GET /predictions/{body['prediction_id']} HTTP/1.1"))
            assert row["trace_id"] == row["request_id"]


def test_the_upstream_is_told_of_the_trace(tmp_path: Path) -> None:
    make_platform(tmp_path)
    bars = pl.concat([random_bars(symbol, rows=400) for symbol in SYMBOLS])
    with LoopbackUpstream(bars) as upstream:
        served = {"MARKET_DATA_DIR": "", "MARKET_DATA_BASE_URL": upstream.url}
        platform = make_platform(tmp_path, **served)
        client = create_app(settings(tmp_path, **served), platform).test_client()
        client.get("/predict?symbol=AAA", headers=SENT)
        client.post("/predict/batch", json={"symbols": ["BBB", "CCC"]}, headers=SENT)
        traces = [parse_traceparent(each.headers["traceparent"]) for each in upstream.requests]
        assert len(traces) >= 3
        assert {trace and trace.trace_id for trace in traces} == {TRACE}
        assert {trace and trace.flags for trace in traces} == {"01"}
        assert len({trace and trace.parent_id for trace in traces}) == len(traces)
        assert {each.headers["tracestate"] for each in upstream.requests} == {"vendor=1"}
        upstream.requests.clear()
        own = client.get("/predict?symbol=NOPE").headers["X-Request-ID"]
        assert upstream.requests
        assert all(own in each.headers["traceparent"] for each in upstream.requests)
        assert not any("tracestate" in each.headers for each in upstream.requests)
