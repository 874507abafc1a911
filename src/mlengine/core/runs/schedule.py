"""A schedule of trainings, and what became of one of its ticks."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Schedule:
    """`last_tick` is the newest one that was dealt with, or when the schedule began.

    `expression` is None where nothing is scheduled, because somebody said so.
    """

    expression: str | None
    last_tick: datetime


@dataclass(frozen=True)
class ScheduleTick:
    """`outcome`: `claimed` (`run_id` is new), `skipped` (`run_id` lives), `taken` by another
    worker, `contended` (to be tried again), or `none` (nothing is due).
    """

    outcome: str
    run_id: str | None


@dataclass(frozen=True)
class Timetable:
    """What `mlengine train schedule show` shows; `workers` is None when the queue can't say.

    `configured` is what TRAIN_SCHEDULE of this host says, which counts until the database has a
    schedule.
    """

    expression: str | None
    last_tick: datetime | None
    next_ticks: tuple[datetime, ...]
    workers: int | None
    configured: str | None
