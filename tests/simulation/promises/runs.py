"""One live run, and each tick of the schedule once."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.simulation.database import Database
from tests.simulation.promises.broken import BrokenPromise

EARLIER = "earlier"  # begins the ids of runs that are not in the table
_LOOK = """SELECT
    (SELECT count(*) FROM runs WHERE state IN ('queued', 'running')),
    (SELECT count(*) FROM runs WHERE actor = 'schedule'),
    (SELECT count(*) FROM events WHERE kind = 'train_skipped'),
    (SELECT last_tick FROM schedules),
    (SELECT count(*) - count(DISTINCT idempotency_key) FROM runs WHERE idempotency_key NOT NULL)"""
_RUN = "SELECT state FROM runs WHERE run_id = ?"


class _Seen(NamedTuple):
    live: int
    scheduled: int
    skipped: int
    last_tick: int | None
    repeated_keys: int

    @property
    def ticks(self) -> int:
        return self.scheduled + self.skipped


_NOTHING = _Seen(0, 0, 0, None, 0)


@dataclass(eq=False)
class RunPromise:
    """Looks at each commit, and at each rename that makes a version visible."""

    database: Database
    cancelled: set[str] = field(default_factory=set)
    published_by: dict[str, str] = field(default_factory=dict)
    _seen: _Seen = _NOTHING

    def see_commit(self) -> None:
        before, now = self._seen, _Seen(*self.database.look(_LOOK)[0])
        self._seen = now
        if now.live > 1:
            raise BrokenPromise(f"{now.live} runs are live at once")
        if now.repeated_keys:
            raise BrokenPromise("an idempotency key has got two runs")
        if before.last_tick is None or now.last_tick is None:
            return
        ticked, moved = now.ticks - before.ticks, now.last_tick - before.last_tick
        if ticked != (moved > 0) or moved < 0:
            raise BrokenPromise(
                f"{ticked} ticks were dealt with when the last one moved by {moved / 1e6} s"
            )

    def see_version(self, folder: Path) -> None:
        """A version has become visible: the run behind it must be the live one."""
        run_id = json.loads((folder / "manifest.json").read_bytes())["run_id"]
        if run_id.startswith(EARLIER):
            return
        states = [row[0] for row in self.database.look(_RUN, run_id)]
        if states != ["running"]:
            raise BrokenPromise(f"{folder.name} was published by run {run_id}, which is {states}")
        if run_id in self.published_by or run_id in self.cancelled:
            raise BrokenPromise(f"{folder.name} is a second version of run {run_id}, or cancelled")
        self.published_by[run_id] = folder.name

    def cut_power(self) -> None:
        """Rows may be as they were a while ago: what comes is compared with them."""
        self._seen = _Seen(*self.database.look(_LOOK)[0])
        self.cancelled.clear()
        self.published_by.clear()

    def check_at_rest(self) -> None:
        """A run that has succeeded has a version; its version is not that of another."""
        rows = self.database.look("SELECT run_id, version FROM runs WHERE state = 'succeeded'")
        versions = [version for _, version in rows]
        if None in versions or len(set(versions)) < len(versions):
            raise BrokenPromise(f"runs have succeeded with these versions: {rows}")
