"""One training and its durable record."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime

from mlengine.core.line_names import MODEL_LINE
from mlengine.core.runs.progress import Progress

LIVE_STATES = ("queued", "running")
ENDED_STATES = ("succeeded", "failed", "cancelled", "lost")
STATES = (*LIVE_STATES, *ENDED_STATES)
# Until the folds are under way, the bars decide how fast it goes, and say nothing of the fits.
_FORESEEABLE_PERCENT = 20.0


@dataclass(frozen=True, kw_only=True)
class Run:
    """The record of one training; `spec` is the JSON text that it was claimed with.

    `seq` orders runs by their claim, `sequence` grows with every change of one run. `log` is the
    tail of what it logged, `result` what a run of another kind than `train` found out. A running
    run holds a lease until `lease_until`; one that lets it expire is `lost`. `traceparent` is the
    trace that it was asked for in, `model` the line that it is of.
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
    traceparent: str | None = None
    model: str = MODEL_LINE

    @property
    def unfinished(self) -> bool:
        """Whether it is queued or running, and so keeps the next one out."""
        return self.state in LIVE_STATES

    def overdue(self, now: datetime) -> bool:
        """Whether it runs on a lease that has expired by `now`."""
        return self.state == "running" and self.lease_until is not None and self.lease_until <= now

    def eta_seconds(self, now: datetime) -> float | None:
        """Seconds until it ends if it goes on as it went; None before 20 % and outside of running.

        Percents are weights of stages, so this is a rough guess that gets better.
        """
        if self.state != "running" or self.started_at is None or self.progress is None:
            return None
        percent = self.progress.percent
        if percent < _FORESEEABLE_PERCENT:
            return None
        elapsed = max((now - self.started_at).total_seconds(), 0.0)
        return round(elapsed * (100.0 - percent) / percent, 1)

    def parameters(self) -> dict[str, object]:
        """What it was asked to do."""
        spec: dict[str, object] = json.loads(self.spec)
        return spec

    def as_dict(self, now: datetime) -> dict[str, object]:
        """Its RUN_FIELDS, with what is reckoned from others at `now`."""
        parameters = self.parameters()
        return {
            **{name: getattr(self, name) for name in _OWN_FIELDS},
            "eta_seconds": self.eta_seconds(now),
            "note": parameters.get("note"),
            "parameters": parameters,
        }


_INTERNAL = {"spec", "seq", "idempotency_key", "body_hash"}
_OWN_FIELDS = tuple(each.name for each in fields(Run) if each.name not in _INTERNAL)
RUN_FIELDS = (*_OWN_FIELDS, "eta_seconds", "note", "parameters")
