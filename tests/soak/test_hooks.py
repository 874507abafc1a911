"""Workers that deliver webhooks, killed again and again: no receiver loses a message."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.databases import new_database, opened
from tests.hook_receiver import HookReceiver, Received, Reply
from tests.patience import eventually
from tests.processes import deliver_until_killed

from mlengine.services.hooks.service import HookService, NewHook
from mlengine.stores.database.events import EventStore
from mlengine.stores.database.outbox import Outbox
from mlengine.stores.hooks.delivery_store import DeliveryStore
from mlengine.stores.hooks.hook_store import HookStore

pytestmark = pytest.mark.soak

ROOT = Path(__file__).parents[2]
KILLS, MESSAGES_A_KILL = 8, 10
# A lease of ninety seconds is over in one, and so is a pause of a minute.
SPEED = 90.0
BEGUN = datetime.now(UTC).isoformat()


class Flaky(HookReceiver):
    """500 to the first attempt at each message, then 200."""

    def take(self, received: Received) -> Reply:
        name = received.headers["webhook-id"]
        is_new = name not in {each.headers["webhook-id"] for each in self.received}
        super().take(received)
        return Reply(500 if is_new else 200)


def worker(url: str) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", deliver_until_killed.__name__, url, BEGUN, str(SPEED)]
    return subprocess.Popen(argv, cwd=ROOT)


def test_killed_workers_lose_no_message(tmp_path: Path) -> None:
    url = new_database(tmp_path / "audit.db")
    with (
        opened(url) as engine,
        HookReceiver() as steady,
        HookReceiver(always=Reply(delay_seconds=0.1)) as slow,
        Flaky() as flaky,
        HookReceiver(always=Reply(302, headers={"Location": steady.url})) as redirecting,
        HookReceiver(always=Reply(410)) as gone,
    ):
        service = HookService(HookStore(engine), DeliveryStore(engine), allow_private=True)
        events, outbox = EventStore(engine), Outbox(engine)
        receivers = [steady, slow, flaky, redirecting, gone]
        hooks = [
            service.add(
                receiver.url,
                ["model.trained"],
                hook_id=f"hook_{number}",
                secret=bytes([number]) * 32,
                actor="ops",
                now=now(),
            )
            for number, receiver in enumerate(receivers)
        ]
        for _ in range(KILLS):
            for _ in range(MESSAGES_A_KILL):
                events.append("trained", at=now(), version="v1", actor="ops", details={})
            before, killed = len(slow.received), worker(url)
            assert eventually(lambda: len(slow.received) > before + 3, seconds=30)  # noqa: B023
            killed.kill()
            killed.wait()
        last = worker(url)
        try:
            assert eventually(lambda: not pending(service, hooks[:3]), seconds=180)
        finally:
            last.kill()
            last.wait()
        assert outbox.newest_seq() == KILLS * MESSAGES_A_KILL + 1, "and that one was disabled"
        for receiver, hook in zip(receivers[:3], hooks[:3], strict=True):
            report(receiver, hook)
        assert not {200} & {reply.status for reply in (redirecting.always, gone.always)}
        assert service.list()[4].disabled_at is not None
        assert len(gone.received) < MESSAGES_A_KILL
        assert service.list()[3].delivered == 0


def now() -> datetime:
    return deliver_until_killed.clock(BEGUN, SPEED)


def pending(service: HookService, hooks: list[NewHook]) -> int:
    ids = {hook.id for hook in hooks}
    return sum(each.pending for each in service.list() if each.id in ids)


def report(receiver: HookReceiver, hook: NewHook) -> None:
    """Every message came, each attempt was signed, and few came twice."""
    ids = Counter(each.headers["webhook-id"] for each in receiver.received)
    assert len(ids) == KILLS * MESSAGES_A_KILL
    assert all(each.is_signed_with(hook.secret) for each in receiver.received)
    again = sum(ids.values()) - len(ids)
    sys.stdout.write(f"{hook.id}: {len(ids)} messages, {again} attempts more\n")
