"""Two versions of the platform on one database, one registry and one queue, while hosts change.

The older one is that before one of the newest migrations: its hosts go on while the newer one
migrates the database, and beside its hosts, until they are replaced one by one.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.older_platforms import (
    MIGRATIONS,
    ROOT,
    SYMBOLS,
    RunningPlatform,
    commit_before,
    extract,
    running,
    write_bars,
)
from tests.patience import eventually
from tests.postgres import running_server, what_is_missing
from tests.queue_process import QueueProcess
from tests.s3_server import s3_server
from tests.serving import load
from tests.training_rig import say

from mlengine import config

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(what_is_missing() is not None, reason=str(what_is_missing())),
]
NEWEST = sorted(path.name for path in MIGRATIONS.glob("r*.py"))[-2:]
PATHS = [f"/predict?symbol={symbol}" for symbol in SYMBOLS]


@pytest.fixture
def shared() -> Iterator[Mapping[str, str]]:
    """Settings of what all hosts share."""
    with ExitStack() as stack:
        database = stack.enter_context(running_server()).new_database()
        bucket = stack.enter_context(s3_server())
        queue = stack.enter_context(QueueProcess())
        yield {
            **bucket.environ,
            "AUDIT_DATABASE_URL": database,
            "REDIS_URL": queue.url,
            "REGISTRY_URL": bucket.new_prefix(),
            "RATE_LIMIT_REQUESTS": "0",
            "TRAIN_SYMBOLS": "AAA,BBB",
        }


def _host(folder: Path) -> Path:
    write_bars(folder / "bars")
    return folder


def _scores(host: RunningPlatform) -> list[tuple[object, object]]:
    answers = [host.get(path) for path in PATHS]
    return [(each["model_version"], each["probability_up"]) for each in answers]


@pytest.mark.parametrize("migration", NEWEST)
def test_hosts_are_replaced_one_by_one_while_the_others_serve_train_and_activate(
    shared: Mapping[str, str], tmp_path: Path, migration: str
) -> None:
    commit = commit_before(migration)
    if commit is None:
        pytest.skip("the commit is not in this clone's history")
    source = extract(commit, tmp_path / "source")
    with running(source, _host(tmp_path / "older"), **shared) as older:
        before = _scores(older)
        with load(older.port, PATHS, askers=4) as during:
            # Its first step is the migration.
            with running(ROOT, _host(tmp_path / "newer"), **shared) as newer:
                assert _scores(newer) == _scores(older) == before
                assert older.train(seed=7)["state"] == "succeeded"
                assert eventually(lambda: _scores(newer) == _scores(older) != before, seconds=10)
                assert older.get("/models/activate/v1", method="POST")["active_version"] == "v1"
                assert eventually(lambda: _scores(newer) == before, seconds=10)
                assert newer.get("/admin/rollback", method="POST")["active_version"] == "v2"
                assert newer.train(seed=8)["version"] == "v3"
                assert eventually(lambda: _scores(older) == _scores(newer), seconds=10)
                kinds = [each["kind"] for each in older.get("/monitoring/history")["events"]]
                assert kinds.count("trained") == 3
            assert older.get("/health")["checks"]["audit"] == "ok"
        assert during.failed == []
        answered = [each.body["prediction_id"] for each in during.answers]
    _restart_is_refused(source, tmp_path / "older", shared)
    with running(ROOT, tmp_path / "older", **shared) as replaced:
        assert replaced.get("/ready")["model_version"] == "v3"
        some = answered[:: max(1, len(answered) // 60)]
        for prediction_id in some:
            path = f"/predictions/{prediction_id}/replay"
            assert replaced.get(path, method="POST")["status"] == "identical"
    say(f"{commit[:9]} and this: {len(answered)} answers, none failed, {len(some)} replayed")


def _restart_is_refused(source: Path, folder: Path, shared: Mapping[str, str]) -> None:
    """The older one would misread what the newer has written."""
    environ = {
        "ARTIFACTS_DIR": str(folder / "artifacts"),
        "FLASK_SKIP_DOTENV": "1",
        "PYTHONPATH": str(source / "src"),
        **shared,
    }
    done = subprocess.run(
        [sys.executable, "-m", "mlengine", "migrate"],
        cwd=source,
        env=config.environment_for_child(environ),
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "newer mlengine" in done.stderr
