"""Archived days are read as if they were in the tables, on both databases."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import Engine, func, select
from tests.databases import NOW, answered, failed, new_database, opened
from tests.processes import archive_killed_at_each_step

from mlengine.errors import CannotWrite, DatabaseUnavailable
from mlengine.services.audit.retention import RetentionService
from mlengine.services.audit.service import AuditService
from mlengine.stores.audit.entries import AuditEntry
from mlengine.stores.audit.filter import AuditFilter
from mlengine.stores.audit.live_vectors import LiveVectorReader, ScoredVersion
from mlengine.stores.audit.replay_inputs import ReplayInputStore
from mlengine.stores.audit.retention import AuditRetention
from mlengine.stores.audit.spool.spool import AuditSpool
from mlengine.stores.audit.spool.store import SpooledAuditStore
from mlengine.stores.database.archive.files import AuditArchive, archive_of, give_archive
from mlengine.stores.database.engine import reading, writing
from mlengine.stores.database.events import EventStore
from mlengine.stores.database.migrate import migrate
from mlengine.stores.database.server.partitions import create_days
from mlengine.stores.database.tables import bar_windows, feature_vectors, predictions
from mlengine.stores.outcomes.answers import AnswerReader

ROOT = Path(__file__).parents[3]
DAY = timedelta(days=1)
DATABASES = ["sqlite", "postgresql", "postgresql without days"]
MIDNIGHT = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
LATER = NOW + 9 * DAY
SCORED = ScoredVersion("v1", "f" * 64, "1d", 3)


@pytest.fixture(params=["sqlite"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "sqlite":
        url = new_database(tmp_path / "audit.db")
    else:
        url = request.getfixturevalue("postgres_url")
        migrate(url)
    with opened(url) as engine:
        if request.param == "postgresql":
            with writing(engine) as connection:
                create_days(connection, now=MIDNIGHT)
        give_archive(engine, AuditArchive(tmp_path / "audit-archive"))
        yield engine


@pytest.fixture
def audit(engine: Engine, tmp_path: Path) -> AuditService:
    return AuditService(SpooledAuditStore(engine, spool=AuditSpool(tmp_path / "spool")))


def entries() -> list[AuditEntry]:
    """Of three days; the last one refers to a vector of the first."""
    odd = {"prediction_id": "ab" * 16, "request_id": "XYZ é", "probability_up": 5e-324}
    first = answered(1, day=1)
    return [
        first,
        answered(2, symbol="BBB", day=1, **odd),
        answered(3, day=2, in_sample=None),
        failed(4),
        replace(answered(5, day=3), at=NOW + DAY),
        replace(failed(6, version=None), at=NOW + DAY),
        replace(
            first,
            at=NOW + 2 * DAY,
            prediction=replace(first.prediction, prediction_id="again"),
        ),
    ]


def everything(audit: AuditService, tmp_path: Path) -> dict[str, object]:
    """All that is said of the audit."""
    engine, told = audit.store.engine, dict[str, object]()
    filters = {
        "all": AuditFilter(),
        "symbol": AuditFilter(symbol="AAA"),
        "line": AuditFilter(model="main"),
        "other line": AuditFilter(model="other"),
        "ok": AuditFilter(ok=True),
        "second day": AuditFilter(since=MIDNIGHT + DAY, until=MIDNIGHT + 2 * DAY),
    }
    inputs = ReplayInputStore(engine)
    for name, each in filters.items():
        told[name] = audit.recent(each, limit=50).rows
        told[f"{name} ids"] = ids = inputs.row_ids(each)
        if name in ("all", "second day"):
            audit.export(tmp_path / "out.parquet", each)
            exported = pl.read_parquet(tmp_path / "out.parquet")
            told[f"{name} exported"] = repr(exported.sort("prediction_id").to_dicts())
        told[f"{name} replayed"] = [
            (each.row, each.vector, each.window is not None and each.window.to_dicts())
            for each in inputs.get_many(ids)
        ]
    told["pages"], cursor = [], None
    while True:
        page = audit.recent(limit=2, cursor=cursor)
        told["pages"].append(page.rows)  # type: ignore[attr-defined]
        if (cursor := page.next_cursor) is None:
            break
    for row in audit.recent(limit=50).rows:
        told[row.prediction_id] = audit.get(row.prediction_id)
        again = inputs.get(row.prediction_id)
        assert again
        told[f"{row.prediction_id} again"] = again.row, again.vector
    live = LiveVectorReader(engine)
    told["dates"] = dates = live.dates_since(SCORED, seq=0, updated_at=None)
    told["newest"] = live.newest_seq("v1")
    for date in dates:
        rows = live.rows(SCORED, date=date)
        told[f"date {date}"] = rows.symbols, rows.vectors.tobytes(), rows.scores.tolist()
    answers = AnswerReader(engine)
    told["answers"] = [answers.read_after(n, limit=limit) for n in (0, 1, 2, 5) for limit in (2, 9)]
    told["asked of v1"] = audit.store.has_predictions_of("v1"), audit.store.has_predictions_of("v2")
    return told


def archive(audit: AuditService, *, days: int) -> list[int]:
    """The first days; how many predictions of each."""
    before = (MIDNIGHT + days * DAY).date()
    return [each.rows for each in audit.archive_days(before=before, actor="ann", now=LATER)]


def counts(engine: Engine) -> tuple[int, ...]:
    with reading(engine) as connection:
        return tuple(
            connection.scalar(select(func.count()).select_from(table)) or 0
            for table in (predictions, feature_vectors, bar_windows)
        )


@pytest.mark.parametrize("engine", DATABASES, indirect=True)
def test_what_is_archived_is_read_as_if_it_were_in_the_tables(
    audit: AuditService, tmp_path: Path
) -> None:
    audit.store.append(entries())
    before = everything(audit, tmp_path)
    assert archive(audit, days=1) == [4]
    assert counts(audit.store.engine) == (3, 2, 2)
    assert everything(audit, tmp_path) == before
    assert archive(audit, days=9) == [2, 1]
    assert counts(audit.store.engine) == (0, 0, 0)
    assert everything(audit, tmp_path) == before
    assert archive(audit, days=9) == []
    events = EventStore(audit.store.engine).page("audit_archived", 9, None).rows
    assert [event.details["predictions"] for event in events] == [1, 2, 4]
    (answers, _) = AnswerReader(audit.store.engine).read_after(0, limit=9)
    ids = {each.vector_id for each in answers}
    assert audit.store.vectors_by_id(ids).keys() == ids


@pytest.mark.parametrize("engine", DATABASES[:2], indirect=True)
def test_rows_that_come_late_are_read_beside_the_file_and_archived_with_the_next_run(
    audit: AuditService, tmp_path: Path
) -> None:
    audit.store.append(entries()[:4])
    assert archive(audit, days=1) == [4]
    audit.store.append([answered(7, day=1)])
    assert [row.prediction_id for row in audit.recent(limit=2).rows] == ["p7", "p4"]
    live = LiveVectorReader(audit.store.engine)
    (date, *_) = live.dates_since(SCORED, seq=0, updated_at=None)
    assert sorted(live.rows(SCORED, date=date).symbols) == ["AAA", "BBB"]
    assert archive(audit, days=1) == [1]
    assert [row.prediction_id for row in audit.recent(limit=2).rows] == ["p7", "p4"]


def test_a_day_that_is_not_over_stays(audit: AuditService) -> None:
    audit.store.append(entries())
    before = (MIDNIGHT + 9 * DAY).date()
    done = audit.archive_days(before=before, actor="ann", now=MIDNIGHT + DAY / 2)
    assert list(done) == []


@pytest.mark.parametrize("engine", DATABASES[:2], indirect=True)
def test_archived_days_are_pruned_and_cleared_with_the_others(audit: AuditService) -> None:
    engine = audit.store.engine
    audit.store.append(entries())
    archive(audit, days=2)
    retention = AuditRetention(engine)
    assert retention.count(before=MIDNIGHT + DAY) == 4
    assert RetentionService(retention, 1).prune_expired(now=MIDNIGHT + 2 * DAY) == 4
    assert len(audit.recent(limit=50).rows) == 3
    assert audit.clear(actor="ann", now=NOW) == 3
    assert audit.recent(limit=50).rows == ()
    kept = archive_of(engine)
    assert kept
    assert kept.files() == []


def test_one_run_at_a_time(audit: AuditService) -> None:
    audit.store.append(entries())
    before = (MIDNIGHT + 9 * DAY).date()
    first = audit.archive_days(before=before, actor="ann", now=LATER)
    next(first)
    with pytest.raises(CannotWrite, match="another run"):
        next(audit.archive_days(before=before, actor="bob", now=LATER))
    first.close()
    assert archive(audit, days=9) == [2, 1]


def test_a_damaged_file_is_told(audit: AuditService) -> None:
    audit.store.append(entries())
    archive(audit, days=1)
    kept = archive_of(audit.store.engine)
    assert kept
    kept.files()[0].path.write_bytes(b"PAR1 no more")
    with pytest.raises(DatabaseUnavailable, match="damaged"):
        audit.recent(limit=50)


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.soak), 15])
def test_a_run_that_is_killed_anywhere_loses_and_doubles_no_row(tmp_path: Path, every: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", archive_killed_at_each_step.__name__, str(tmp_path), str(every)],
        check=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    found = json.loads(done.stdout)
    assert found["killed"] >= 30 // every
    assert found["wrong"] == []
