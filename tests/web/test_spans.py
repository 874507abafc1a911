"""Spans as a collector gets them, of a real server and of a real training."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.factories import random_bars
from tests.platforms import SYMBOLS, make_platform, settings
from tests.serving import ROOT, serving
from tests.upstream import LoopbackUpstream
from tests.web.serving.connections import line_to, raw

from mlengine import config
from mlengine.core.runs.run import Run
from mlengine.errors import BadSetting
from mlengine.stores.runs.rows import NewRun, to_json

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SERVER, CLIENT, CONSUMER = 2, 3, 5

Span = dict[str, Any]


@dataclass(frozen=True)
class Collector:
    port: int
    spans: queue.Queue[Span]

    @property
    def environ(self) -> dict[str, str]:
        endpoint = f"http://127.0.0.1:{self.port}"
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "50"}

    def first(self, holds: Callable[[Span], bool]) -> Span:
        """The first span that comes of which this holds."""
        while True:
            span = self.spans.get(timeout=120)
            if holds(span):
                return span


@contextmanager
def collecting() -> Iterator[Collector]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.processes.otlp_receiver"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    collector = Collector(int(process.stdout.readline()), queue.Queue())
    lines = process.stdout
    reading = threading.Thread(
        target=lambda: [collector.spans.put(json.loads(line)) for line in lines]
    )
    reading.start()
    try:
        yield collector
    finally:
        process.terminate()
        process.wait()
        reading.join()
        process.stdout.close()


def test_a_request_and_its_calls_are_spans_of_the_callers_trace(tmp_path: Path) -> None:
    make_platform(tmp_path)
    bars = pl.concat([random_bars(symbol, rows=400) for symbol in SYMBOLS])
    sent = f"traceparent: 00-{TRACE}-{CALLER}-01"
    with (
        collecting() as collector,
        LoopbackUpstream(bars) as upstream,
        serving(
            tmp_path,
            ready="/health",
            WEB_WORKERS="1",
            MARKET_DATA_DIR="",
            MARKET_DATA_BASE_URL=upstream.url,
            **collector.environ,
        ) as server,
        line_to(server.port) as line,
    ):
        _, body = line.ask(raw("GET /predict?symbol=AAA HTTP/1.1", sent))
        call = collector.first(lambda span: span["kind"] == CLIENT)
        asked = collector.first(lambda span: span["trace_id"] == TRACE and span["kind"] == SERVER)
        assert (asked["name"], asked["parent_id"]) == ("GET /predict", CALLER)
        assert asked["attributes"]["http.response.status_code"] == 200
        assert asked["service"] == "mlengine"
        assert (call["trace_id"], call["parent_id"]) == (TRACE, asked["span_id"])
        assert call["attributes"]["url.path"] == "/candles"
        assert "symbol" not in str(call["attributes"]), "there may be a key in a query"
        told = next(each.headers["traceparent"] for each in upstream.requests)
        assert told == f"00-{TRACE}-{call['span_id']}-01"
        _, row = line.ask(raw(f"GET /predictions/{body['prediction_id']} HTTP/1.1"))
        assert row["trace_id"] == TRACE

        head, body = line.ask(raw("GET /predict?symbol=AAA HTTP/1.1"))
        assert "200" in head[0]
        own = collector.first(lambda span: span["trace_id"] == body["request_id"])
        assert (own["name"], own["parent_id"], own["failed"]) == ("GET /predict", "", False)

        line.ask(raw("GET /models HTTP/1.1", f"traceparent: 00-{'a' * 32}-{CALLER}-00"))
        line.ask(raw("GET /nothing HTTP/1.1", f"traceparent: 00-{'b' * 32}-{CALLER}-01"))
        last = collector.first(lambda span: span["trace_id"][0] in "ab" and span["parent_id"])
        assert last["trace_id"] == "b" * 32, "who does not sample is not sampled"
        assert last["attributes"]["http.response.status_code"] == 404


def test_a_training_is_a_span_in_the_trace_that_asked_for_it(tmp_path: Path) -> None:
    platform, now = make_platform(tmp_path), datetime.now(UTC)
    new = NewRun(
        run_id="r1",
        spec=to_json(settings(tmp_path).train.to_dict()),
        actor="ann",
        request_id="r",
        traceparent=f"00-{TRACE}-{CALLER}-01",
    )
    platform.control.runs.store.create(new, now=now)
    with collecting() as collector:
        environ = {
            "ARTIFACTS_DIR": str(tmp_path / "artifacts"),
            "MARKET_DATA_DIR": str(tmp_path / "bars"),
            "TRAIN_SYMBOLS": ",".join(SYMBOLS),
            **collector.environ,
        }
        subprocess.run(
            [sys.executable, "-c", "from mlengine.jobs.tasks import train; train('r1')"],
            cwd=tmp_path,
            env=config.environment_for_child(environ),
            check=False,
        )
        span = collector.first(lambda span: span["kind"] == CONSUMER)
    run: Run = platform.control.runs.get("r1", now=datetime.now(UTC))
    assert (span["trace_id"], span["parent_id"], span["name"]) == (TRACE, CALLER, "train")
    assert span["attributes"]["mlengine.run_id"] == "r1"
    assert span["failed"] == (run.state == "failed")
    assert run.log
    assert all(json.loads(line)["trace_id"] == TRACE for line in run.log)


def test_no_exporter_is_loaded_unless_it_is_asked_for(tmp_path: Path) -> None:
    script = (
        "import os, sys; from mlengine.app import create_app; from mlengine import config\n"
        "create_app(config.load_from_environment())\n"
        "os.environ['OTEL_TRACES_EXPORTER'] = 'none'\n"
        "create_app(config.load_from_environment())\n"
        "sys.exit(any(name.startswith('opentelemetry.exporter') for name in sys.modules))"
    )
    make_platform(tmp_path)
    environ = config.environment_for_child(
        {"ARTIFACTS_DIR": str(tmp_path / "artifacts"), "LOG_LEVEL": "ERROR"}
    )
    done = subprocess.run([sys.executable, "-c", script], env=environ, cwd=tmp_path, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("environ", "exporters"),
    [
        ({}, ()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, ("otlp",)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, ("otlp",)),
        ({"OTEL_TRACES_EXPORTER": "console,otlp"}, ("console", "otlp")),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, ()),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, ()),
    ],
)
def test_the_standard_variables_say_where_spans_go(
    environ: dict[str, str], exporters: tuple[str, ...]
) -> None:
    assert config.Settings.from_env(environ).trace_exporters == exporters


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_TRACES_EXPORTER": "zipkin"},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ],
)
def test_what_is_not_spoken_stops_the_start(environ: dict[str, str]) -> None:
    with pytest.raises(BadSetting, match=r"^OTEL_"):
        config.Settings.from_env(environ)
