from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from flask.testing import FlaskClient
from tests.platforms import make_platform, settings
from tests.web.conformance import ConformingClient

from mlengine.app import create_app
from mlengine.bootstrap.platform import Platform
from mlengine.web.routes.signals import panel as signals

PREFIXES = ("", "/api/v1")


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return make_platform(tmp_path)


@pytest.fixture
def client(platform: Platform, tmp_path: Path) -> FlaskClient:
    app = create_app(settings(tmp_path), platform)
    app.test_client_class = ConformingClient
    return app.test_client()


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_panel_says_who_spoke(client: FlaskClient, prefix: str) -> None:
    answer = client.get(f"{prefix}/signals?symbol=AAA").get_json()
    assert (answer["model"], answer["pending"], answer["as_of"]) == ("main", 0, None)
    assert answer["history"] == {"version": "v1", "out_of_fold": False}
    first = answer["signals"][0]
    assert (first["symbol"], first["model_version"], first["source"]) == ("AAA", "v1", "holdout")
    assert first["bar_timestamp"].endswith("Z")
    assert (first["usable"], first["error"], first["in_sample"]) == (None, None, False)


READERS: list[tuple[str, Callable[[io.BytesIO], pl.DataFrame]]] = [
    ("csv", pl.read_csv),
    ("arrow", pl.read_ipc),
    ("parquet", pl.read_parquet),
]


@pytest.mark.parametrize(("name", "read"), READERS)
def test_a_format_is_asked_for_by_its_name_or_by_its_media_type(
    client: FlaskClient, name: str, read: Callable[[io.BytesIO], pl.DataFrame]
) -> None:
    rows = len(client.get("/signals").get_json()["signals"])
    by_name = client.get(f"/signals?format={name}")
    by_type = client.get("/signals", headers={"Accept": by_name.mimetype})
    assert by_name.data == by_type.data
    assert read(io.BytesIO(by_name.data)).height == rows
    assert "Accept" in by_name.headers["Vary"]


def test_a_long_panel_is_written_by_a_worker(
    client: FlaskClient, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals, "MOST_ROWS", 5)
    answer = client.get("/api/v1/signals?format=csv&as_of=2024-01-01")
    assert answer.status_code == 202
    address = answer.headers["Location"]
    assert address == f"/api/v1/signals/exports/{answer.get_json()['export_id']}"
    queued = client.get(address).get_json()
    assert (queued["state"], queued["file"], queued["format"]) == ("queued", None, "csv")
    missing = client.get(f"{address}/file")
    assert (missing.status_code, missing.get_json()["code"]) == (404, "export_not_found")
    platform.export_writer(holder="one").work()
    ready = client.get(address).get_json()
    assert ready["state"] == "ready"
    file = client.get(ready["file"])
    assert (file.mimetype, len(file.data)) == ("text/csv", ready["bytes"])
    assert pl.read_csv(file.data).height == ready["rows"]


def test_as_json_a_long_panel_is_a_parquet_file(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals, "MOST_ROWS", 5)
    answer = client.get("/signals")
    address = answer.headers["Location"]
    assert int(answer.headers["Retry-After"]) > 0
    assert client.get(address).get_json()["format"] == "parquet"


def test_head_asks_for_no_file(
    client: FlaskClient, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals, "MOST_ROWS", 5)
    head = client.head("/signals")
    assert (head.status_code, head.data) == (202, b"")
    assert platform.export_writer(holder="one").work() == 0


def test_a_day_that_is_not_over_is_in_the_future(client: FlaskClient) -> None:
    today = datetime.now(UTC).date()
    answer = client.get(f"/signals?as_of={today}")
    assert answer.status_code == 422
    assert "future" in answer.get_json()["errors"]["as_of"][0]
    assert client.get(f"/signals?as_of={today - timedelta(days=1)}").status_code == 200


def test_an_alias_has_the_rows_of_its_symbol(tmp_path: Path) -> None:
    make_platform(tmp_path)
    (tmp_path / "bars" / "symbols.csv").write_text("symbol,aliases\nAAA,A1\n")
    client = create_app(settings(tmp_path), make_platform(tmp_path)).test_client()
    rows = client.get("/signals?symbol=AAA").get_json()["signals"]
    assert client.get("/signals?symbol=A1").get_json()["signals"] == rows != []


@pytest.mark.parametrize("export_id", ["nonsense", "0" * 32])
def test_an_export_that_there_is_not_is_not_found(client: FlaskClient, export_id: str) -> None:
    for path in (f"/signals/exports/{export_id}", f"/signals/exports/{export_id}/file"):
        answer = client.get(path)
        assert (answer.status_code, answer.get_json()["code"]) == (404, "export_not_found")


@pytest.mark.parametrize(
    "query", ["format=xml", "since=yesterday", "as_of=2100-01-01", "version=3", "symbol=%20"]
)
def test_what_can_not_be_asked_is_refused(client: FlaskClient, query: str) -> None:
    assert client.get(f"/signals?{query}").status_code == 422


def test_another_version_or_line_that_there_is_not_is_not_found(client: FlaskClient) -> None:
    for query in ("version=v9", "model=slow"):
        answer = client.get(f"/signals?{query}")
        assert (answer.status_code, answer.get_json()["code"]) == (404, "model_not_found")
