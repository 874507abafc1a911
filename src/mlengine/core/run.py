"""One training and its durable record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from mlengine.core.progress import Progress

LIVE_STATES = ("queued", "running")
ENDED_STATES = ("succeeded", "failed", "cancelled", "lost")


@dataclass(frozen=True, kw_only=True)
class Run:
    """The record of one training; `spec` is the JSON text that it was claimed with.

    `seq` orders runs by their claim, `sequence` grows with every change of one run. `log` is the
    tail of what it logged, `result` what a run of another kind than `train` found out. A running
    run holds a lease until `lease_until`; one that lets it expire is `lost`.
    """

    run_id: str
    seq: int
    state: str
    spec: str
    actor: str
    request_id: str | None
    queued_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    lease_until: datetime | None = None
    progress: Progress | None = None
    version: str | None = None
    error: str | None = None
    kind: str = "train"
    sequence: int = 1
    log: tuple[str, ...] = ()
    result: Mapping[str, object] | None = None
    idempotency_key: str | None = None
    body_hash: str | None = None

    @property
    def live(self) -> bool:
        """Whether it is queued or running, and so keeps the next one out."""
        return self.state in LIVE_STATES

    def overdue(self, now: datetime) -> bool:
        """Whether it runs on a lease that has expired by `now`."""
        return self.state == "running" and self.lease_until is not None and self.lease_until <= now
