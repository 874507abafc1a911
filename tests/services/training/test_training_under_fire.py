from __future__ import annotations

import dataclasses
import errno
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from tests.crashing import at_step
from tests.platforms import make_platform

from mlengine.errors import ArtifactsUnavailable
from mlengine.stores.registry.folders import staged_run_ids
from mlengine.stores.runs.rows import NewRun


def now() -> datetime:
    return datetime.now(UTC)


def full() -> None:
    raise OSError(errno.ENOSPC, "")


def test_a_run_that_finds_the_disk_full_fails_and_says_so(tmp_path: Path) -> None:
    platform = make_platform(tmp_path, models=1)
    spec = dataclasses.replace(platform.control.runs.defaults, folds=0)
    platform.control.run_store.create(
        NewRun(
            run_id="run", spec=orjson.dumps(spec.to_dict()).decode(), actor="ann", request_id=None
        ),
        now=now(),
    )
    with pytest.raises(ArtifactsUnavailable), at_step(2, full, among=frozenset({"fsync"})):
        platform.run_executor.execute("run")
    run = platform.control.runs.get("run", now=now())
    said = "the artifacts folder can't be written: the disk is full"
    assert (run.state, run.version, run.error) == ("failed", None, said)
    assert platform.registry.versions() == ["v1"]
    assert not staged_run_ids(platform.registry.directory)
