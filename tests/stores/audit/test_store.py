from __future__ import annotations

import math
import os
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from tests.databases import (
    FEATURE_SET,
    NOW,
    a_prediction,
    answered,
    failed,
    new_database,
    opened,
    url_of,
    window_of,
)
from tests.patience import patience
from tests.processes import audit_from_four_threads, audit_then_die

from mlengine.core.bars.bars import BARS_SCHEMA, bars_hash
from mlengine.core.predictions.prediction import AuditRow, Latency
from mlengine.errors import DatabaseUnavailable
from mlengine.stores.audit.entries import AuditedPrediction
from mlengine.stores.audit.replay_inputs import ReplayInputStore
from mlengine.stores.audit.store import AuditStore
from mlengine.stores.audit.vectors import decode_vector
from mlengine.stores.audit.writer import group_writer, sqlite_rows
from mlengine.stores.database.engine import reading, writing
from mlengine.stores.database.events import EventStore
from mlengine.stores.database.sqlite import checkpointer
from mlengine.stores.database.tables import bar_windows, feature_vectors, predictions
from mlengine.stores.runs.rows import NewRun
from mlengine.stores.runs.store import RunStore

_ROOT = Path(__file__).parents[3]


@pytest.fixture
def store(tmp_path):
    with opened(new_database(tmp_path / "audit.db")) as engine:
        yield AuditStore(engine)


def _counts(store: AuditStore) -> tuple[int, ...]:
    tables = (predictions, feature_vectors, bar_windows)
    with reading(store.engine) as connection:
        return tuple(connection.scalar(select(func.count()).select_from(t)) for t in tables)


def _ids(page) -> list[str]:
    return [row.prediction_id for row in page.rows]


def _recent(store: AuditStore) -> list[str]:
    return _ids(store.recent(limit=200))


def test_an_answered_prediction_comes_back_whole(store):
    entry = answered(1)
    store.append([entry])
    row = store.get("p1")
    prediction = entry.prediction
    shared = {f.name for f in fields(AuditRow)} & {f.name for f in fields(prediction)}
    assert {name: getattr(row, name) for name in shared} == {
        n: getattr(prediction, n) for n in shared
    }
    assert {f.name for f in fields(prediction)} - shared == {
        "raw_score",
        "model_verdict",
        "base_value",
        "contributions",
    }
    assert (row.at, row.route, row.ok) == (entry.at, "/predict", True)
    assert (row.error_code, row.error_detail) == (None, None)
    assert struct.pack("<d", row.score) == struct.pack("<d", 0.1 + 0.2)


def test_an_unusable_answer_keeps_its_reasons(store):
    reasons = ("bar_too_old", "null_features")
    store.append([answered(1, usable=False, reasons=reasons), answered(2), failed(3)])
    rows = [store.get(each) for each in ("p1", "p2", "p3")]
    assert [row.usable for row in rows] == [False, True, None]
    assert [row.reasons for row in rows] == [reasons, (), None]


def test_where_the_bars_came_from_is_kept_as_it_was_answered(store):
    store.append(
        [
            answered(1, point_in_time="reconstructed", bars_age_seconds=0.1 + 0.2),
            answered(2, usable=True, reasons=("hole_in_window",)),
        ]
    )
    row = store.get("p1")
    assert (row.point_in_time, row.bars_age_seconds) == ("reconstructed", 0.1 + 0.2)
    assert store.get("p2").usable is True, "where holes are minded in production only"


def test_rows_from_before_the_bars_had_an_origin_are_read(store):
    store.append([answered(1), answered(2, usable=False, reasons=("bar_too_old",)), failed(3)])
    older = dict.fromkeys(("usable", "point_in_time", "bars_age_seconds"))
    with writing(store.engine) as connection:
        connection.execute(update(predictions).values(older))
    rows = [store.get(each) for each in ("p1", "p2", "p3")]
    assert [row.usable for row in rows] == [True, False, None]
    assert {(row.point_in_time, row.bars_age_seconds) for row in rows} == {(None, None)}


def test_a_return_keeps_its_expected_return(store):
    store.append(
        [
            answered(
                1,
                objective="return",
                probability_up=None,
                expected_return=-1.2345678901234567e-5,
                confidence=None,
                base_rate=None,
            )
        ]
    )
    row = store.get("p1")
    assert (row.probability_up, row.expected_return) == (None, -1.2345678901234567e-5)
    assert (row.score, row.confidence, row.base_rate) == (-1.2345678901234567e-5, None, None)


def test_a_score_among_symbols_is_kept_as_such(store):
    store.append([answered(1, objective="return", probability_up=None, expected_score=-1.25)])
    row = store.get("p1")
    assert (row.expected_return, row.expected_score, row.score) == (None, -1.25, -1.25)


def test_a_failure_stands_in_the_audit_with_its_reason(store):
    store.append([failed(1)])
    row = store.get("p1")
    assert (row.ok, row.error_code, row.symbol) == (False, "unknown_symbol", "NOPE")
    assert row.error_detail == "the upstream knows no symbol 'NOPE'"
    assert row.latency_ms == Latency(2.0, None, None, 2.5)
    assert (row.as_of, row.model_version, row.feature_set, row.score) == (NOW, "v1", None, None)
    assert _counts(store) == (1, 0, 0)


def test_a_failure_may_come_before_any_model(store):
    store.append([failed(1, version=None)])
    assert store.get("p1").model_version is None


def test_a_batch_keeps_its_order_failures_among_answers(store):
    store.append([answered(1), failed(2), answered(3, symbol="BBB"), answered(4)])
    assert _recent(store) == ["p4", "p3", "p2", "p1"]
    assert _counts(store) == (4, 2, 2)


def test_an_empty_batch_writes_nothing(store):
    store.append([])
    assert _counts(store) == (0, 0, 0)


def test_a_batch_is_written_whole_or_not_at_all(tmp_path):
    url = new_database(tmp_path / "audit.db")
    with opened(url) as engine:
        store = AuditStore(engine)
        store.append([answered(1)])
        with reading(engine) as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 2}")
        with pytest.raises(DatabaseUnavailable, match="full"):
            store.append([answered(n, day=n) for n in range(2, 60)])
        assert _counts(store) == (1, 1, 1)


def test_a_locked_store_refuses_the_entry(tmp_path):
    url = new_database(tmp_path / "audit.db")
    holder = sqlite3.connect(tmp_path / "audit.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with opened(url, busy_timeout_seconds=0.02) as engine:
        store = AuditStore(engine)
        with pytest.raises(DatabaseUnavailable):
            store.append([answered(1)])
        assert not store.writable()
        assert _recent(store) == []
        holder.execute("ROLLBACK")
        assert store.writable()
        store.append([answered(1)])
        assert _recent(store) == ["p1"]
    holder.close()


def test_a_vector_and_its_window_are_stored_once(store):
    for number in range(5):
        store.append([answered(number), answered(number + 10)])
    assert _counts(store) == (10, 1, 1)


def test_another_bar_feature_set_or_interval_is_another_vector(store):
    other = replace(FEATURE_SET, name="mine", hash="a" * 64)
    store.append([answered(1), answered(2, day=1), answered(3, feature_set=other)])
    store.append([answered(4, interval="1h")])
    assert _counts(store) == (4, 4, 2)
    assert store.get("p3").feature_set == other
    assert store.get("p4").interval == "1h"


def test_a_prediction_never_refers_to_other_numbers_than_its_own(store):
    other = float(np.nextafter(0.0, 9.0))
    store.append([answered(1)])
    store.append([answered(2, first=other)])
    assert _counts(store) == (2, 2, 1)
    with reading(store.engine) as connection:
        payloads = connection.scalars(select(feature_vectors.c.payload).order_by("id")).all()
    assert [decode_vector(each)[0] for each in payloads] == [0.0, other]


def test_new_vectors_among_stored_ones_are_those_of_their_rows(store):
    firsts = [float(number) for number in range(6)]
    store.append([answered(10 + number, first=firsts[number]) for number in (1, 4)])
    store.append([answered(20 + number, first=first) for number, first in enumerate(firsts)])
    store.append([answered(30 + number, first=first + 6) for number, first in enumerate(firsts)])
    same_row = predictions.c.vector_id == feature_vectors.c.id
    query = select(predictions.c.prediction_id, feature_vectors.c.payload).where(same_row)
    with reading(store.engine) as connection:
        found = {key: decode_vector(each)[0] for key, each in connection.execute(query)}
    wanted = {f"p{20 + number}": first for number, first in enumerate(firsts)}
    wanted |= {f"p{30 + number}": first + 6 for number, first in enumerate(firsts)}
    assert found == {"p11": 1.0, "p14": 4.0} | wanted
    assert _counts(store) == (14, 12, 1)


def test_the_windows_of_new_vectors_among_stored_ones_are_stored_whatever_their_order(store):
    for stored in range(6):  # in the order of hashes, which is not that of days
        days = [(f"S{stored}", day) for day in range(6)]
        store.append([answered(100 * stored + 50, symbol=f"S{stored}", day=stored)])
        entries = enumerate(days, start=100 * stored)
        store.append([answered(number, symbol=s, day=day) for number, (s, day) in entries])
    assert _counts(store) == (6 + 36, 36, 36)


def test_the_window_comes_back_to_the_last_bit(store):
    window = window_of("AAA")
    store.append([answered(1)])
    stored = ReplayInputStore(store.engine).get("p1").window
    assert stored.schema == pl.Schema(BARS_SCHEMA)
    assert stored.equals(window)
    assert bars_hash(stored) == bars_hash(window) == store.get("p1").bars_hash


def test_there_may_be_no_such_window_or_prediction(store):
    store.append([failed(1)])
    inputs = ReplayInputStore(store.engine)
    assert inputs.get("p1").window is None
    assert (inputs.get("p2"), store.get("p2")) == (None, None)


def test_four_processes_write_at_once_and_a_kill_loses_no_row(tmp_path):
    url = new_database(tmp_path / "audit.db")
    writers = [
        subprocess.Popen(
            [sys.executable, "-m", audit_then_die.__name__, url, str(100 * i), "25"], cwd=_ROOT
        )
        for i in range(4)
    ]
    assert [writer.wait(timeout=patience(60)) for writer in writers] == [-9] * 4
    with opened(url) as engine:
        store = AuditStore(engine)
        wanted = {f"p{100 * i + n}" for i in range(4) for n in range(25)}
        assert set(_recent(store)) == wanted
        assert _counts(store) == (100, 3, 3)


def test_clearing_leaves_runs_and_events(store):
    runs, events = RunStore(store.engine), EventStore(store.engine)
    runs.create(NewRun(run_id="one", spec="{}", actor="ops", request_id=None), now=NOW)
    events.append("trained", at=NOW, version="v1", actor="ops", details={})
    store.append([answered(1), answered(2, day=1), failed(3)])
    assert store.clear(actor="ann", at=NOW) == 3
    assert _counts(store) == (0, 0, 0)
    assert runs.get("one", now=NOW).state == "queued"
    rows = events.page(None, 10, None).rows
    assert [(event.kind, event.actor) for event in rows] == [
        ("audit_cleared", "ann"),
        ("trained", "ops"),
    ]
    assert store.clear(actor="ann", at=NOW) == 0


def test_a_store_is_writable_only_with_its_table_and_without_read_only(tmp_path):
    with opened(url_of(tmp_path / "empty.db")) as engine:
        assert not AuditStore(engine).writable()
    url = new_database(tmp_path / "a.db")
    with opened(url) as engine:
        assert AuditStore(engine).writable()
    with opened(f"sqlite:///file:{tmp_path}/a.db?mode=ro&uri=true") as engine:
        assert not AuditStore(engine).writable()


def test_the_last_write_is_the_state_of_the_audit(tmp_path):
    url = new_database(tmp_path / "a.db")
    holder = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    with opened(url, busy_timeout_seconds=0.02) as engine:
        store = AuditStore(engine)
        assert store.states.state("audit") == "unknown"
        store.append([answered(1)])
        assert store.states.state("audit") == "ok"
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseUnavailable):
            store.append([answered(2)])
        assert store.states.state("audit") == "down"
        holder.execute("ROLLBACK")
        assert store.writable()
        assert store.states.state("audit") == "ok"
    holder.close()


def test_an_answer_is_a_prediction_with_what_it_was_made_of():
    entry = answered(1)
    assert entry.prediction == a_prediction(1)
    assert entry.prediction.bars_hash == bars_hash(entry.scored.window.frame())


def _repeated(number: int, prediction_id: str) -> AuditedPrediction:
    """The same as `answered`, asked once more."""
    entry = answered(number)
    return replace(entry, prediction=replace(entry.prediction, prediction_id=prediction_id))


def test_the_short_way_and_the_long_way_write_the_same_row(store):
    store.append([answered(1)])  # the long way stores the vector
    store.append([_repeated(1, "p2")])
    assert replace(store.get("p1"), prediction_id="p2") == store.get("p2")
    assert _counts(store) == (2, 1, 1)
    with reading(store.engine) as connection:
        long, short = connection.exec_driver_sql("SELECT * FROM predictions ORDER BY seq").all()
    assert [(type(a), a) for a in long[2:]] == [(type(b), b) for b in short[2:]]


def test_a_vector_that_somebody_else_cleared_is_stored_again(store, tmp_path):
    store.append([answered(1)])
    store.append([_repeated(1, "p2")])
    with opened(url_of(tmp_path / "audit.db")) as other:
        assert AuditStore(other).clear(actor="x", at=NOW) == 2
    store.append([_repeated(1, "p3")])
    assert _recent(store) == ["p3"]
    assert _counts(store) == (1, 1, 1)


def test_a_batch_of_known_vectors_is_one_transaction_in_its_order(store):
    store.append([answered(n) for n in (1, 2, 3)])
    store.append([_repeated(1, "q1"), failed(9), _repeated(3, "q3")])
    assert _recent(store)[:3] == ["q3", "p9", "q1"]
    with pytest.raises(IntegrityError):
        store.append([_repeated(2, "r1"), _repeated(1, "q1")])
    assert _counts(store)[0] == 6


def test_another_writer_that_keeps_at_it_is_waited_for(store, tmp_path):
    store.append([answered(1)])
    with opened(url_of(tmp_path / "audit.db")) as engine, writing(engine):
        appending = threading.Thread(target=store.append, args=[[_repeated(1, "p2")]])
        appending.start()
        appending.join(0.3)
        assert appending.is_alive()
    appending.join()
    assert _recent(store) == ["p2", "p1"]


def test_a_database_that_broke_is_left_to_the_long_way_to_tell(store, tmp_path):
    store.append([answered(1)])
    store.append([_repeated(1, "p2")])
    with opened(url_of(tmp_path / "audit.db")) as other, writing(other) as connection:
        connection.exec_driver_sql("ALTER TABLE predictions RENAME TO elsewhere")
    with pytest.raises(DatabaseUnavailable, match="schema is another one"):
        store.append([_repeated(1, "p3")])
    with opened(url_of(tmp_path / "audit.db")) as other, writing(other) as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO predictions")
    store.append([_repeated(1, "p4")])
    assert _recent(store) == ["p4", "p2", "p1"]


def _in_threads(store: AuditStore, entries: list[AuditedPrediction]) -> list[str]:
    """Appends each in a thread of its own while another process's writer keeps all waiting."""
    refused = []

    def append(entry: AuditedPrediction) -> None:
        try:
            store.append([entry])
        except IntegrityError:
            refused.append(entry.prediction.prediction_id)

    threads = [threading.Thread(target=append, args=[entry]) for entry in entries]
    with writing(store.engine):
        for thread in threads:
            thread.start()
        time.sleep(0.02)
    for thread in threads:
        thread.join()
    return refused


def test_rows_that_waited_together_are_all_there_when_they_are_answered(store):
    store.append([answered(1)])
    assert _in_threads(store, [_repeated(1, f"q{n}") for n in range(12)]) == []
    assert sorted(_recent(store)) == sorted(["p1", *(f"q{n}" for n in range(12))])


def test_a_row_that_must_not_be_written_leaves_those_that_waited_with_it_alone(store):
    store.append([answered(1)])
    taken = [_repeated(1, f"q{n}") for n in range(4)] + [_repeated(1, "p1")]
    assert _in_threads(store, taken) == ["p1"]
    assert sorted(_recent(store)) == ["p1", "q0", "q1", "q2", "q3"]


def test_threads_that_are_killed_lose_no_row_that_they_said_was_written(tmp_path):
    url = new_database(tmp_path / "audit.db")
    writer = subprocess.Popen(
        [sys.executable, "-m", audit_from_four_threads.__name__, url],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
    )
    written = [writer.stdout.readline().split()[0].decode() for _ in range(400)]
    writer.kill()
    written += [line.decode().strip() for line in writer.stdout if line.endswith(b"\n")]
    writer.wait()
    writer.stdout.close()
    with opened(url) as engine:
        assert [each for each in written if AuditStore(engine).get(each) is None] == []


def test_the_log_of_writes_is_emptied_beside_the_requests(store, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpointer, "_ROWS", 100)
    monkeypatch.setattr(checkpointer, "_INTERVAL_SECONDS", 0.0)
    log = tmp_path / "audit.db-wal"
    for number in range(800):
        store.append([_repeated(1, f"q{number}")])
        _checkpoints_end()
    assert _counts(store)[0] == 800
    assert log.stat().st_size < 2_000_000  # all pages that were written are some 3.7 million bytes


def test_who_may_wait_does_so_for_other_writers_and_takes_the_short_way(
    store, tmp_path, monkeypatch
):
    store.append([answered(1)])
    with closing(
        sqlite3.connect(tmp_path / "audit.db", isolation_level=None, check_same_thread=False)
    ) as other:
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.1, other.execute, ["COMMIT"])
        release.start()
        monkeypatch.setattr(sqlite_rows, "_LONG_WAIT_SECONDS", 60.0)
        monkeypatch.setattr(AuditStore, "_insert_with_vectors", _not_to_be_called)
        store.append([_repeated(1, f"q{number}") for number in range(100)])
        release.join()
    assert store.get("q99") is not None


def test_rows_that_another_thread_has_taken_are_not_written_out_in_words(store, monkeypatch):
    """A deque says so of what it lacks: of a batch, that takes half a second."""
    store.append([answered(1)])
    monkeypatch.setattr(AuditedPrediction, "__repr__", _not_to_be_called)
    monkeypatch.setattr(group_writer, "_TURN_SECONDS", 0.0)
    writer = store._group_writer
    results: list[bool] = []
    was_asked = threading.Event()

    class TakenMeanwhile(deque):
        def remove(self, value: object) -> None:
            self.clear()
            was_asked.set()
            super().remove(value)

    def answer() -> None:
        results.append(store.append_rows_directly([_repeated(1, "q1")]))

    writer._pending = TakenMeanwhile()
    with writer._lock:
        thread = threading.Thread(target=answer)
        thread.start()
        assert was_asked.wait(patience(10.0))
    thread.join()
    assert results == [False]


def _not_to_be_called(*_: object) -> str:
    raise AssertionError("this is too slow here")


def test_rows_are_written_where_no_thread_can_be_started(store, monkeypatch):
    def none_left(_) -> None:
        raise RuntimeError("can't start new thread")

    store.append([answered(1)])
    monkeypatch.setattr(checkpointer, "_ROWS", 1)
    monkeypatch.setattr(threading.Thread, "start", none_left)
    assert store.append_rows_directly([_repeated(1, "q1")])
    assert store.get("q1") is not None


def test_the_log_is_not_emptied_again_right_after_another_process_did(store, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpointer, "_ROWS", 1)
    database, long_ago = tmp_path / "audit.db", 1_000_000_000
    store.append([answered(1)])
    _checkpoints_end()
    before = database.read_bytes()
    store.append([_repeated(1, "q1")])
    _checkpoints_end()
    assert database.read_bytes() == before
    os.utime(database, (long_ago, long_ago))
    monkeypatch.setattr(checkpointer.checkpointer_of(store.engine), "_started_at", -math.inf)
    store.append([_repeated(1, "q2")])
    _checkpoints_end()
    assert database.read_bytes() != before


def _checkpoints_end() -> None:
    for thread in threading.enumerate():
        if thread.name == "checkpoint":
            thread.join()
