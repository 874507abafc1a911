from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.platforms import NOW, make_platform

from mlengine.bootstrap.platform import Platform
from mlengine.errors import DatabaseUnavailable, PredictionNotFound
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.services.runs.maintenance import RunMaintenance
from mlengine.stores.audit.filter import AuditFilter


def predict(platform: Platform, symbol: str = "AAA") -> str:
    made = platform.predict.predict(symbol, PredictionRequest(request_id="r", now=NOW))
    return made.prediction_id


def maintenance(platform: Platform, moment: datetime) -> RunMaintenance:
    return dataclasses.replace(platform.control.run_maintenance, clock=lambda: moment)


@contextmanager
def read_only_tables(platform: Platform) -> Iterator[None]:
    """Tables that can be read and refuse every row, whoever asks."""
    path = platform.control.database.url.database
    assert path is not None
    with closing(sqlite3.connect(path)) as other:
        other.execute(
            "CREATE TRIGGER no_more BEFORE INSERT ON predictions"
            " BEGIN SELECT no_such_function(); END"
        )
        other.commit()
        try:
            yield
        finally:
            other.execute("DROP TRIGGER no_more")
            other.commit()


def test_clearing_touches_predictions_only_and_says_who_did_it(tmp_path: Path) -> None:
    platform = make_platform(tmp_path)
    platform.predict.predict_batch(
        ["AAA", "NONE"],
        PredictionRequest(request_id="r", now=NOW, route="/predict/batch"),
    )

    assert platform.audit.clear(actor="ann", now=NOW) == 2

    assert platform.audit.recent(limit=10).rows == ()
    cleared, activated = platform.monitoring.history(kind=None, limit=10, cursor=None).rows
    assert activated.kind == "activated"
    assert (cleared.kind, cleared.actor, cleared.details) == (
        "audit_cleared",
        "ann",
        {"predictions": 2},
    )


def test_an_outage_of_the_tables_is_answered_told_and_made_up_for(tmp_path: Path) -> None:
    platform = make_platform(tmp_path)
    before = predict(platform)
    assert not platform.audit.spooled
    with read_only_tables(platform):
        made = predict(platform)
        assert platform.audit.spooled
        health = platform.health.health()
        assert (health.status, health.checks["audit"]) == ("degraded", "degraded")
        assert (health.audit_spool.files, health.audit_spool.spooled_rows) == (1, 1)
        assert [row.prediction_id for row in platform.audit.recent(limit=9).rows] == [before]
        with pytest.raises(PredictionNotFound, match="may wait in the audit's spool"):
            platform.audit.get(made)
    other = make_platform(tmp_path, models=0)
    later = predict(other, "BBB")
    found = [row.prediction_id for row in other.audit.recent(limit=9).rows]
    assert found == [made, later, before]
    assert not other.audit.spooled
    assert platform.health.health().audit_spool.spooled_rows == 1
    assert platform.audit.get(made).ok
    with pytest.raises(PredictionNotFound) as missing:
        platform.audit.get("nobody")
    assert "spool" not in str(missing.value)


def test_nothing_is_pruned_while_predictions_wait_beside_the_tables(tmp_path: Path) -> None:
    platform = make_platform(tmp_path, models=3)
    platform.models.activate("v3", actor="ann", reason="", now=NOW)
    asked = {"keep": 1, "dry_run": False, "actor": "ann", "now": NOW}
    with read_only_tables(platform):
        platform.predict.predict(
            "AAA",
            PredictionRequest(version="v2", request_id="r", now=NOW),
        )
        with pytest.raises(DatabaseUnavailable):
            platform.maintenance.prune(force=False, **asked)
    found = platform.maintenance.prune(force=False, **asked)
    assert {fate.version: fate.kept_as for fate in found}["v2"] == "audited"
    path = tmp_path / "artifacts" / "audit-spool"
    path.mkdir()
    (path / "1.damaged").write_text("?")
    with pytest.raises(DatabaseUnavailable, match="may refer to any version"):
        platform.maintenance.prune(force=False, **asked)
    assert len(platform.maintenance.prune(force=True, **asked)) == 3


def test_rows_are_found_by_time_and_outcome(tmp_path: Path) -> None:
    platform = make_platform(tmp_path)
    for hours in range(4):
        now = NOW + timedelta(hours=hours)
        platform.predict.predict_batch(
            ["AAA", "NONE"],
            PredictionRequest(request_id="r", now=now, route="/predict/batch"),
        )

    def hours(**asked: object) -> list[float]:
        rows = platform.audit.recent(AuditFilter(**asked), limit=100).rows  # type: ignore[arg-type]
        return [(row.at - NOW) / timedelta(hours=1) for row in rows]

    since, until = NOW + timedelta(hours=1), NOW + timedelta(hours=3)
    assert hours(since=since, until=until) == [2, 2, 1, 1]
    assert hours(since=since, ok=True) == [3, 2, 1]
    assert hours(until=since, ok=False) == [0]
    assert hours(ok=False, version="v1", symbol="NONE") == [3, 2, 1, 0]
    good = AuditFilter(ok=True, until=until)
    page = platform.audit.recent(good, limit=2)
    rest = platform.audit.recent(good, limit=2, cursor=page.next_cursor)
    assert [(row.at - NOW) / timedelta(hours=1) for row in rest.rows] == [0]


def test_an_export_holds_what_waited_too(tmp_path: Path) -> None:
    platform = make_platform(tmp_path)
    with read_only_tables(platform):
        predict(platform)
    assert platform.audit.export(tmp_path / "out.parquet", AuditFilter()) == 1


def test_the_worker_keeps_predictions_as_long_as_the_setting_says(tmp_path: Path) -> None:
    platform = make_platform(tmp_path, AUDIT_RETENTION_DAYS="30")
    predict(platform)
    maintenance(platform, NOW + timedelta(days=30)).run()
    assert len(platform.audit.recent(limit=9).rows) == 1
    maintenance(platform, NOW + timedelta(days=32)).run()
    assert platform.audit.recent(limit=9).rows == ()
    (event,) = platform.control.events.page("audit_pruned", 9, None).rows
    assert event.actor == "retention"
