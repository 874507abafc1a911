"""What the simulated processes do: each action is one use case of the product, with its promise.

An action runs in a task of its process. It tells the promises what it asks for, calls the product,
and tells them what was answered; what the product refuses is fine.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
from tests.databases import answered, failed
from tests.published import draft
from tests.simulation.machine import Machine
from tests.simulation.platform import Platform
from tests.simulation.promises.runs import EARLIER

from mlengine.core.bars.bars import VALUES, BarArrays
from mlengine.core.timestamps import EPOCH
from mlengine.core.versions.pruning import Pin
from mlengine.services.runs.service import RunRequest
from mlengine.stores.audit.entries import AuditedPrediction, AuditEntry
from mlengine.stores.bars.stored import UpstreamBars
from mlengine.stores.database.sqlite.checkpointer import checkpointer_of

INTERVAL = "1d"
SYMBOLS = ("AAA", "BBB")
_DAY = 86_400_000_000
_FIRST_DAY = 20_000  # days since 1970
_WINDOWS = 6
_WORDS = ("red", "green", "blue")


@dataclass(frozen=True)
class Workload:
    """The actions of a machine's processes; all chances are those of its seed."""

    machine: Machine

    def append(self, platform: Platform) -> None:
        """One answer to a client, or a batch of them, is audited."""
        chance = self.machine.chance
        count = chance.choice((1, 1, 1, 3))
        entries, ids = [], []
        for _ in range(count):
            ids.append(self.machine.next_id("p"))
            entries.append(_entry(ids[-1], chance.randrange(_WINDOWS + 1)))
        promise = self.machine.audit
        promise.ask(entries, ids)
        if chance.random() < 0.3 and platform.audit.append_rows_directly(entries):
            promise.answer(ids)
            return
        platform.audit.append(entries)
        promise.answer(ids)

    def publish_earlier_versions(self, platform: Platform) -> None:
        """Versions of runs that nobody remembers."""
        for _ in range(2):
            earlier = draft(run_id=self.machine.next_id(EARLIER), created_at=self.machine.now)
            files = {"model.txt": self.machine.chance.randbytes(40)}
            manifest = platform.registry.publish(earlier, files, fence=lambda: None)
            self.machine.registry.publish(manifest.version)

    def drain(self, platform: Platform) -> None:
        platform.audit.drain()

    def clear(self, platform: Platform) -> None:
        promise = self.machine.audit
        promise.begin_clear()
        try:
            platform.audit.clear(actor="x", at=self.machine.now)
        finally:
            promise.end_clear()

    def checkpoint(self, platform: Platform) -> None:
        checkpointer = checkpointer_of(platform.engine)
        assert checkpointer is not None
        checkpointer.make_room()

    def request(self, platform: Platform) -> None:
        """A training is asked for, sometimes twice under one key."""
        chance = self.machine.chance
        key = chance.choice((None, *_WORDS))
        request = RunRequest(
            self.machine.next_id("run"), "someone", "r", self.machine.now, idempotency_key=key
        )
        platform.runs.request_training({}, request)

    def cancel(self, platform: Platform) -> None:
        run = platform.runs.cancel(None, actor="x", now=self.machine.now)
        if run.state == "cancelled":
            self.machine.runs.cancelled.add(run.run_id)

    def tick(self, platform: Platform) -> None:
        platform.schedules.tick(run_id=self.machine.next_id("tick"), now=self.machine.now)

    def maintain(self, platform: Platform) -> None:
        platform.run_maintenance.run()

    def activate(self, platform: Platform) -> None:
        versions = platform.registry.versions()
        if not versions:
            return
        now = self.machine.now
        if self.machine.chance.random() < 0.3:
            done = platform.models.rollback(actor="x", now=now)
        else:
            version = self.machine.chance.choice(versions)
            done = platform.models.activate(version, actor="x", reason="", now=now)
        self.machine.registry.activate(done.active_version, done.generation)

    def pin(self, platform: Platform) -> None:
        versions = platform.registry.versions()
        if not versions:
            return
        version = self.machine.chance.choice(versions)
        pinned: bool | None = None
        promise = self.machine.registry
        change = promise.begin_pinning(version)
        try:
            if self.machine.chance.random() < 0.7:
                platform.registry.pin(version, Pin("x", self.machine.now, ""))
                pinned = True
            else:
                platform.registry.unpin(version)
                pinned = False
        finally:
            promise.end_pinning(change, pinned=pinned)

    def prune(self, platform: Platform) -> None:
        self.machine.registry.prunings += 1
        platform.maintenance.prune(
            keep=1,
            force=self.machine.chance.random() < 0.5,
            dry_run=False,
            actor="x",
            now=self.machine.now,
        )

    def record_bars(self, platform: Platform) -> None:
        """An answer of the upstream: all bars of a symbol so far, some of them revised."""
        symbol = self.machine.chance.choice(SYMBOLS)
        now, promise = self.machine.now, self.machine.bars
        answer = _bars_at(self.machine, symbol)
        attempt = promise.begin(symbol)
        try:
            recorded = platform.bars.record({symbol: answer}, INTERVAL, seen_at=now)
            position = self.machine.database.log.position()
            promise.record(attempt, recorded.bars[symbol], position)
        finally:
            promise.end(attempt)

    def actions(self) -> Mapping[str, tuple[str, Callable[[Platform], None], int]]:
        """Each action with the kind of process that does it, and how often."""
        return {
            "append": ("web", self.append, 10),
            "drain": ("web", self.drain, 2),
            "clear": ("web", self.clear, 1),
            "checkpoint": ("web", self.checkpoint, 1),
            "request": ("web", self.request, 5),
            "cancel": ("web", self.cancel, 4),
            "activate": ("web", self.activate, 3),
            "pin": ("web", self.pin, 3),
            "prune": ("web", self.prune, 2),
            "record_bars": ("web", self.record_bars, 5),
            "tick": ("worker", self.tick, 2),
            "maintain": ("worker", self.maintain, 3),
        }


@functools.cache
def _template(window: int) -> AuditedPrediction:
    return answered(0, symbol=SYMBOLS[window % 2], day=window)


def _entry(prediction_id: str, window: int) -> AuditEntry:
    if window == _WINDOWS:
        refused = failed(0)
        return replace(refused, failure=replace(refused.failure, prediction_id=prediction_id))
    template = _template(window)
    return replace(template, prediction=replace(template.prediction, prediction_id=prediction_id))


def _bars_at(machine: Machine, symbol: str) -> UpstreamBars:
    """A day's bars more than the last answer had, most of the time, and now and then a revision."""
    chance = machine.chance
    prices = machine.prices.setdefault(symbol, [100.0])
    for _ in range(chance.randint(0, 3)):
        prices.append(round(prices[-1] * chance.uniform(0.9, 1.1), 6))
    if chance.random() < 0.3:
        prices[chance.randrange(len(prices))] *= 1.01
    starts = np.arange(_FIRST_DAY, _FIRST_DAY + len(prices), dtype="<i8") * _DAY
    values: Any = np.repeat(np.array([prices]), len(VALUES), axis=0)
    arrays = BarArrays(symbol, starts, values.astype("<f8"), starts + _DAY)
    first = EPOCH + timedelta(days=_FIRST_DAY)
    return UpstreamBars(arrays, first, machine.now + timedelta(seconds=60))
