"""Trainings that monitoring asks for: on what, and what became of one event."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Literal, TypeAlias

RetrainReason: TypeAlias = Literal["drift", "skill"]

# The kind of the event that RETRAIN_ON means by each of its words.
TRIGGERS: Mapping[RetrainReason, str] = MappingProxyType(
    {"drift": "drift_alarm", "skill": "skill_lost"}
)


@dataclass(frozen=True)
class RetrainingState:
    """`event_seq` is the newest event that was dealt with, or where it began.

    `requested_at` is when a training was last asked for.
    """

    event_seq: int
    requested_at: datetime | None


@dataclass(frozen=True)
class Trigger:
    """An event that asks for a training."""

    event_seq: int
    kind: str
    version: str | None


@dataclass(frozen=True)
class RetrainingTick:
    """`outcome`: `claimed` (`run_id` is new), `skipped` (`reason` says why), `waiting` (a run
    lives), `taken` by another worker, or `none`.
    """

    outcome: str
    run_id: str | None = None
    reason: str | None = None
