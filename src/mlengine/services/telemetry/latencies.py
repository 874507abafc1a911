"""How long requests took, by route and stage, over all workers of all machines."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mlengine.core.telemetry.latency_slots import (
    RouteSketches,
    StageLatency,
    merge,
    stage_latencies,
)
from mlengine.services.telemetry.timed_cache import TimedCache
from mlengine.stores.telemetry.latency_table import HOUR, MINUTE, LatencyTable

if TYPE_CHECKING:
    from mlengine.services.telemetry.latency_recorder import LatencyRecorder

_MINUTES_KEPT_FOR = 2 * HOUR
# As often as workers write.
_FRESH_SECONDS = 5.0


@dataclass(frozen=True)
class Latencies:
    window_seconds: int
    routes: tuple[StageLatency, ...]


@dataclass(frozen=True)
class LatencyService:
    """`recorder` is that of this process, whose newest requests no table has yet."""

    table: LatencyTable
    recorder: LatencyRecorder | None = None
    newest: TimedCache[RouteSketches] = field(
        default_factory=lambda: TimedCache(_FRESH_SECONDS), repr=False, compare=False
    )

    def latency(self, *, window_seconds: int, now: datetime) -> Latencies:
        """Over the last seconds, and the whole minutes, after two hours the whole hours, of these.

        Raises DatabaseUnavailable.
        """
        since = now - timedelta(seconds=window_seconds)
        own = self.recorder.minutes(now) if self.recorder else {}
        stored = self.newest.get(
            (window_seconds, frozenset(own)),
            lambda: self._stored(since, now + MINUTE, except_for=own),
        )
        inside = [each for start, each in own.items() if start + MINUTE > since]
        return Latencies(window_seconds, stage_latencies(merge([stored, *inside])))

    def _stored(
        self, since: datetime, until: datetime, *, except_for: Container[datetime]
    ) -> RouteSketches:
        """What the table has, but for those minutes of this process."""
        writer = self.recorder.writer if self.recorder else None
        return merge(
            slot.sketches
            for slot in self.table.read(since=since, until=until)
            if slot.writer != writer or slot.start not in except_for
        )


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
