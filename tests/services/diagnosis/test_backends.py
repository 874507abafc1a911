from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.databases import new_database, url_of

from mlengine.errors import DatabaseUnavailable
from mlengine.services.diagnosis import backends
from mlengine.services.diagnosis.backends import check_database, check_queue

REDIS = "redis://queue.invalid:6379/0"


class Queue:
    """Answers, and says who is at it where the database does."""

    def __init__(self, workers: int | None) -> None:
        self._workers = workers

    def server_time(self) -> float:
        return time.time() + 60.0

    def workers(self) -> int:
        if self._workers is None:
            raise DatabaseUnavailable("it is locked")
        return self._workers


@pytest.mark.parametrize(
    ("workers", "status", "detail"),
    [
        (2, "ok", "the server of REDIS_URL answers, workers at it: 2"),
        (None, "warning", "who is at it stands in the database"),
    ],
)
def test_a_queue_that_answers_says_who_is_at_it_where_the_database_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int | None, status: str, detail: str
) -> None:
    monkeypatch.setattr(backends, "open_queue", lambda *_: Queue(workers))
    found = check_queue(REDIS, tmp_path, new_database(tmp_path / "audit.db"))
    assert found.status == status
    assert detail in found.detail
    assert found.lead_seconds == pytest.approx(60.0, abs=5.0)


def test_a_database_on_a_disk_that_takes_nothing_is_not_available(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backends, "probe_disk", full)
    with pytest.raises(DatabaseUnavailable, match="the disk is full"):
        check_database(url_of(tmp_path / "audit.db"))
