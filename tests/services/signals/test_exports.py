from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.platforms import NOW, make_platform

from mlengine.bootstrap.platform import Platform
from mlengine.core.signals.signal import SignalExport, SignalQuery
from mlengine.errors import DatabaseUnavailable, ExportNotFound, ModelNotFound
from mlengine.services.signals import exports
from mlengine.services.signals.exports import ExportWriter, request_export
from mlengine.services.signals.lease import LEASE_SECONDS
from mlengine.services.signals.panel import SignalService
from mlengine.stores.signals import exports as stored

DAY = timedelta(days=1)
HOLDER = "one"


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return make_platform(tmp_path)


def ask(platform: Platform, **changes: object) -> SignalExport:
    query = SignalQuery(as_of=NOW, **changes)  # type: ignore[arg-type]
    store = platform.control.signal_exports
    return request_export(store, "main", query, "parquet", now=NOW)


def writer(platform: Platform) -> ExportWriter:
    return replace(platform.export_writer(holder=HOLDER), clock=lambda: NOW)


def state(platform: Platform, export: SignalExport) -> SignalExport:
    return platform.control.signal_exports.get(export.id, now=NOW)


def test_a_panel_is_written_once_and_read_in_parts(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "_PART_BYTES", 1000)
    store, export = platform.control.signal_exports, ask(platform)
    assert ask(platform).id == export.id
    assert ask(platform, symbol="AAA").id != export.id
    with pytest.raises(ExportNotFound, match="queued"):
        store.open_file(export.id, now=NOW)
    assert writer(platform).work() == 2
    assert writer(platform).work() == 0
    ready, parts = store.open_file(export.id, now=NOW)
    content = list(parts)
    assert len(content) > 1
    frame = pl.read_parquet(io.BytesIO(b"".join(content)))
    panel = platform.signals.panel(export.query, most_rows=1000)
    assert panel is not None
    assert frame.equals(panel.rows)
    assert (ready.state, ready.rows, ready.bytes) == ("ready", frame.height, len(b"".join(content)))
    assert ask(platform).id != export.id


def test_a_file_is_kept_for_a_day(platform: Platform) -> None:
    store, export = platform.control.signal_exports, ask(platform)
    writer(platform).work()
    with pytest.raises(ExportNotFound):
        store.get(export.id, now=NOW + DAY)
    store.request(replace(export, id="f" * 32, requested_at=NOW + DAY))
    with pytest.raises(ExportNotFound):
        store.get(export.id, now=NOW)


def test_what_a_killed_writer_began_another_writes_anew(platform: Platform) -> None:
    store, export = platform.control.signal_exports, ask(platform)
    held = store.claim("killed", now=NOW, lease_seconds=5)
    assert held is not None
    assert store.claim(HOLDER, now=NOW, lease_seconds=5) is None
    later = NOW + timedelta(seconds=6)
    assert store.any_due(now=later)
    assert replace(writer(platform), clock=lambda: later).work() == 1
    store.write(export.id, "killed", b"old", rows=1, at=later)
    assert state(platform, export).state == "ready"
    _, parts = store.open_file(export.id, now=NOW)
    assert b"".join(parts)[:4] == b"PAR1"


def test_a_file_is_its_writers_for_as_long_as_it_writes(platform: Platform) -> None:
    store, export = platform.control.signal_exports, ask(platform)
    store.claim("slow", now=NOW, lease_seconds=5)
    soon = NOW + timedelta(seconds=4)
    assert store.renew(export.id, "slow", now=soon, lease_seconds=5)
    assert not store.renew(export.id, HOLDER, now=soon, lease_seconds=5)
    assert not store.any_due(now=NOW + timedelta(seconds=6))
    assert store.any_due(now=NOW + timedelta(seconds=9))


def test_a_writer_that_was_killed_costs_seconds(platform: Platform) -> None:
    export = ask(platform)
    assert replace(writer(platform), holder="killed")._claim() is not None
    later = NOW + timedelta(seconds=LEASE_SECONDS)
    assert LEASE_SECONDS <= 10
    assert replace(writer(platform), clock=lambda: later).work() == 1
    assert state(platform, export).state == "ready"


def test_what_ends_its_writers_is_given_up(platform: Platform) -> None:
    store, export = platform.control.signal_exports, ask(platform)
    moment = NOW
    for _ in range(3):
        assert store.claim("killed", now=moment, lease_seconds=5) is not None
        moment += timedelta(seconds=6)
    assert store.claim("killed", now=moment, lease_seconds=5) is None
    assert state(platform, export).error == "its writers were ended"


def answers(error: Exception) -> Callable[[str], SignalService]:
    def signals_of(_: str) -> SignalService:
        raise error

    return signals_of


def test_why_there_is_no_file_is_said(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "MOST_WRITTEN_ROWS", 1)
    long = ask(platform)
    writer(platform).work()
    assert "shorter range" in (state(platform, long).error or "")
    gone = ask(platform)
    replace(writer(platform), signals_of=answers(ModelNotFound("v9"))).work()
    assert state(platform, gone).state == "failed"
    waits = ask(platform)
    down = replace(writer(platform), signals_of=answers(DatabaseUnavailable("it is down")))
    with pytest.raises(DatabaseUnavailable):
        down.work()
    assert state(platform, waits).state == "running"
