"""How long requests took, by route and stage, over all workers of all machines."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mlengine.core.telemetry.latency_slots import (
    RouteSketches,
    StageLatency,
    merge,
    stage_latencies,
)
from mlengine.stores.telemetry.latency_table import HOUR, LatencyTable

if TYPE_CHECKING:
    from mlengine.services.telemetry.latency_recorder import LatencyRecorder

_MINUTES_KEPT_FOR = 2 * HOUR


@dataclass(frozen=True)
class Latencies:
    window_seconds: int
    routes: tuple[StageLatency, ...]


@dataclass(frozen=True)
class LatencyService:
    """`recorder` is that of this process, whose newest requests no table has yet."""

    table: LatencyTable
    recorder: LatencyRecorder | None = None

    def latency(self, *, window_seconds: int, now: datetime) -> Latencies:
        """Over the last seconds, and the whole minutes, after two hours the whole hours, of these.

        Raises DatabaseUnavailable.
        """
        since = now - timedelta(seconds=window_seconds)
        own = self.recorder.minutes(now) if self.recorder else {}
        writer = self.recorder.writer if self.recorder else None
        parts: list[RouteSketches] = [
            slot.sketches
            for slot in self.table.read(since=since, until=now + timedelta(minutes=1))
            if slot.writer != writer or slot.start not in own
        ]
        parts += [each for start, each in own.items() if start + timedelta(minutes=1) > since]
        return Latencies(window_seconds, stage_latencies(merge(parts)))


@dataclass(frozen=True)
class LatencyRollUp:
    """A step of the monitoring update: minutes that are two hours old become hours."""

    table: LatencyTable
    name: str = "latencies"

    def run(self, now: datetime) -> datetime | None:
        """Returns when the next hour is due; raises DatabaseUnavailable."""
        oldest = self.table.oldest_minute()
        if oldest is None:
            return None
        due = _hour_after(oldest) + _MINUTES_KEPT_FOR
        if due > now:
            return due
        self.table.roll_up(before=_hour_after(now - _MINUTES_KEPT_FOR) - HOUR)
        oldest = self.table.oldest_minute()
        return None if oldest is None else _hour_after(oldest) + _MINUTES_KEPT_FOR


def _hour_after(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0) + HOUR
