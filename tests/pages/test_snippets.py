"""What the pages give to be copied does what they say."""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import polars as pl
import pytest
from flask import Flask, request
from tests.factories import random_bars
from tests.pages.api_examples import examples
from tests.pages.markdown import ROOT, blocks, section
from werkzeug.serving import make_server

from mlengine.core.features.leaks.check import MEANINGS, check_for_leaks
from mlengine.core.hooks.signature import signed_headers, write_secret
from mlengine.core.monitoring.event import EVENT_KINDS
from mlengine.core.monitoring.messages import (
    MESSAGE_TYPES,
    SCORED_TYPE,
    SIGNALS_READY_TYPE,
    Message,
)
from mlengine.services.signals.panel import TOO_LONG
from mlengine.stores.market_data.actions.file import parse_actions
from mlengine.stores.market_data.actions.service import parse_actions as parse_answer
from mlengine.stores.market_data.adapters.library import AdapterOptions
from mlengine.stores.market_data.candles import parse_candles
from mlengine.stores.market_data.shapes.ready import READY_SHAPES
from mlengine.stores.market_data.shapes.upstream_file import read_upstream_file
from mlengine.stores.signals.formats import to_format
from mlengine.web.http.errors import STATUS

DOCS = ROOT / "docs"


def test_the_feature_set_of_the_page_passes_its_own_check(tmp_path: Path) -> None:
    (snippet,) = (code for language, code in blocks(_page("own_features")) if language == "python")
    (tmp_path / "mine.py").write_text(snippet)
    (feature_set,) = runpy.run_path(str(tmp_path / "mine.py"))["FEATURE_SETS"]
    bars = pl.concat([random_bars("AAA", rows=80), random_bars("BBB", rows=80)])
    assert not check_for_leaks(bars, feature_set).breaches


def test_the_page_lists_the_tests_of_the_check() -> None:
    names = re.findall(r"^\| `([\w-]+)` \|", section(_page("own_features"), "The check"), re.M)
    assert names == list(MEANINGS)


def test_the_candles_of_the_page_are_read() -> None:
    answer, _ = (code for language, code in blocks(_page("market_data")) if language == "json")
    (candle,) = parse_candles(json.loads(answer), symbol="AAPL", interval="1d").to_dicts()
    assert (candle["open"], candle["volume"]) == (187.15, 82488700.0)


def test_the_actions_of_the_page_are_read() -> None:
    texts = blocks(_page("market_data"))
    _, answer = (code for language, code in texts if language == "json")
    (of_service,) = parse_answer(json.loads(answer), "AAPL")
    (file,) = (code for _, code in texts if code.startswith("symbol,date,kind"))
    table = parse_actions(file, name="actions.csv")
    assert table.refused == {}
    assert table.actions["AAPL"][0] == of_service
    assert table.actions["META"][0].earlier_symbol == "FB"


def test_the_shapes_of_the_page_are_read(tmp_path: Path) -> None:
    written = [code for language, code in blocks(_page("services")) if language == "toml"]
    texts = [text for text in written if "entry-points" not in text]
    for text in texts:
        (tmp_path / "upstream.toml").write_text(text)
        read_upstream_file(tmp_path / "upstream.toml")
    assert len(texts) == 3


def test_the_adapter_of_the_page_brings_candles(tmp_path: Path) -> None:
    (snippet,) = (code for language, code in blocks(_page("services")) if language == "python")
    (tmp_path / "our_prices.py").write_text(snippet)
    adapter = runpy.run_path(str(tmp_path / "our_prices.py"))["HouseMarketData"]
    options = AdapterOptions("", None, None, page_size=10, timeout_seconds=1, deadline_seconds=1)
    start, end = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 3, tzinfo=UTC)
    (candle,) = adapter(options).candles("A", "1d", start=start, end=end).to_dicts()
    assert (candle["open"], candle["volume"]) == (1.0, 9.0)


def test_the_page_lists_every_ready_shape() -> None:
    names = re.findall(r"^\| `(\w+)` \|", section(_page("services"), "Ready shapes"), re.M)
    assert names == list(READY_SHAPES)


def test_every_request_of_the_api_page_has_an_answer() -> None:
    requests = re.findall(r"^(?:GET|POST|DELETE) /", _page("api"), re.M)
    assert len(list(examples())) == len(requests) > 20


def test_the_api_page_has_every_error_code_with_its_status() -> None:
    rows = re.findall(r"^\| \[(`.*?) \| ([\d, ]+) \|", section(_page("api"), "Errors"), re.M)
    shown = {
        (code, int(status))
        for codes, statuses in rows
        for code in re.findall(r"`(\w+)`", codes)
        for status in statuses.split(", ")
    }
    assert {(kind.code, status) for kind, (status, _) in STATUS.items()} <= shown


def test_the_receiver_of_the_page_tells_a_message_from_a_forgery(tmp_path: Path) -> None:
    (snippet,) = (code for language, code in blocks(_page("hooks")) if language == "python")
    (tmp_path / "receiver.py").write_text(snippet)
    verify = runpy.run_path(str(tmp_path / "receiver.py"))["verify"]
    now, secrets = datetime.now(UTC), [write_secret(bytes([each]) * 32) for each in (1, 2)]
    message = Message(1, "model.trained", now, '{"type":"model.trained"}')
    headers = signed_headers(message, "msg_1", secrets, now=now)
    body = message.body.encode()
    assert all(verify(body, headers, secret) for secret in secrets)
    assert not verify(body + b" ", headers, secrets[0])
    assert not verify(body, headers, write_secret(b"3" * 32))
    old = signed_headers(message, "msg_1", secrets, now=now - timedelta(minutes=6))
    assert not verify(body, old, secrets[0])


def test_the_page_lists_every_type_of_message_with_its_kinds() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \| (.+?) \|", section(_page("hooks"), "Messages"), re.M)
    listed = {kind: name for name, kinds in rows for kind in re.findall(r"\w+", kinds)}
    others = {"predictions_scored": SCORED_TYPE, "signals_ready": SIGNALS_READY_TYPE}
    assert listed == {**MESSAGE_TYPES, **others}


def test_the_backtest_of_the_page_reads_a_panel(tmp_path: Path) -> None:
    weights = _backtest(tmp_path)["weights"]
    scores = {"A": 0.7, "B": 0.5, "C": 0.3}
    rows = [
        (datetime(2024, 1, day, tzinfo=UTC), *each) for day in (2, 3) for each in scores.items()
    ]
    panel = pl.DataFrame(rows, schema=["bar_timestamp", "symbol", "score"], orient="row")
    table = weights(panel.with_columns(usable=pl.lit(None, pl.Boolean)))
    assert table["A"].to_list() == [0.5, 0.5]
    assert (table["B"].to_list(), table["C"].to_list()) == ([0.0, 0.0], [-0.5, -0.5])
    refused = weights(panel.with_columns(usable=pl.col("symbol") != "A"))
    assert refused["B"].to_list() == [0.5, 0.5]
    alone = weights(panel.filter(pl.col("symbol") == "A").with_columns(usable=None))
    assert alone["A"].to_list() == [0.0, 0.0]


def test_the_backtest_of_the_page_waits_for_the_file_of_a_long_panel(tmp_path: Path) -> None:
    read, panel = _backtest(tmp_path)["read"], pl.DataFrame({"symbol": ["A"], "score": [0.5]})
    with exports_served(to_format(panel, "parquet")) as (address, asked):
        assert read(f"{address}?format=parquet", key="k", pause=0.0).equals(panel)
        looks = ["/exports/1", "/exports/1", "/exports/1/file"]
        paths = ["?format=parquet", *looks]
        assert asked == [(f"/api/v1/signals{path}", "k") for path in paths]
        assert read(f"{address}/exports/1/file").equals(panel)
        assert asked[-1] == ("/api/v1/signals/exports/1/file", None)
    with exports_served(None) as (address, _), pytest.raises(RuntimeError, match="shorter range"):
        read(address)


@contextmanager
def exports_served(file: bytes | None) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """An address of panels that are answered 202, and the paths and keys that were asked with.

    The first look at the state finds it running; without a `file` the next one finds it failed.
    """
    asked: list[tuple[str, str | None]] = []
    app = Flask(__name__)

    @app.before_request
    def note() -> None:
        path = request.full_path.removesuffix("?")
        asked.append((path, request.headers.get("X-API-Key")))

    @app.get("/api/v1/signals")
    def signals() -> tuple[dict[str, str], int, dict[str, str]]:
        return {"state": "queued"}, 202, {"Location": "/api/v1/signals/exports/1"}

    @app.get("/api/v1/signals/exports/1")
    def export() -> dict[str, str | None]:
        state = {"state": "running", "file": None, "error": None}
        looks = sum(path.endswith("/exports/1") for path, _ in asked)
        if looks > 1 and file is None:
            state |= {"state": "failed", "error": TOO_LONG}
        elif looks > 1:
            state |= {"state": "ready", "file": "/api/v1/signals/exports/1/file"}
        return state

    @app.get("/api/v1/signals/exports/1/file")
    def content() -> bytes:
        return file or b""

    server = make_server("127.0.0.1", 0, app)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api/v1/signals", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_api_page_names_every_kind_of_event() -> None:
    assert set(EVENT_KINDS) <= set(re.findall(r"`(\w+)`", _page("api")))


def _backtest(folder: Path) -> dict[str, Any]:
    (snippet,) = (code for language, code in blocks(_page("signals")) if language == "python")
    (folder / "backtest.py").write_text(snippet)
    return runpy.run_path(str(folder / "backtest.py"))


def _page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text()
