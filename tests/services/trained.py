"""A version that was really trained, on the platform of a test."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import orjson

from mlengine.bootstrap.platform import Platform
from mlengine.core.versions.manifest import Manifest
from mlengine.stores.runs.rows import NewRun


def train(platform: Platform, *, run_id: str = "run1", **changed: object) -> Manifest:
    """Carry out the configured recipe with a few trees, without a queue."""
    spec = dataclasses.replace(platform.control.runs.defaults, **{"rounds": 10, **changed})  # type: ignore[arg-type]
    platform.control.run_store.create(
        NewRun(
            run_id=run_id, spec=orjson.dumps(spec.to_dict()).decode(), actor="ann", request_id="req"
        ),
        now=datetime.now(UTC),
    )
    return platform.models.get(platform.run_executor.execute(run_id))[0]
