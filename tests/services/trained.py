"""A version that was really trained, on the engine of a test."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import orjson

from mlengine.bootstrap import Engine
from mlengine.core.manifest import Manifest


def train(engine: Engine, *, run_id: str = "run1", **changed: object) -> Manifest:
    """Carry out the configured recipe with a few trees, without a queue."""
    spec = dataclasses.replace(engine.runs.defaults, **{"rounds": 10, **changed})  # type: ignore[arg-type]
    engine.runs.runs.claim(
        run_id,
        spec=orjson.dumps(spec.to_dict()).decode(),
        actor="ann",
        request_id="req",
        now=datetime.now(UTC),
    )
    return engine.models.show(engine.training.run(run_id))[0]
