"""What the queue may run: JSON in, JSON out, an exception is a failure."""

from __future__ import annotations

from mlengine import config, logs


def train(run_id: str) -> dict[str, str]:
    """Work on the run `run_id` until it ends; its row says how. Returns the new version."""
    from mlengine.bootstrap import build_engine  # noqa: PLC0415 - Polars loads in the horse only

    with logs.bound(job=run_id):
        version = build_engine(config.load()).training.run(run_id)
    return {"run_id": run_id, "version": version}
