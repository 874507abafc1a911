from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.databases import NOW, new_database, opened
from tests.hook_receiver import HookReceiver, Received, Reply
from tests.patience import eventually
from tests.processes import deliver_then_die

from mlengine.core.hooks.retry_schedule import MOST_ATTEMPTS
from mlengine.errors import HookNotFound, InvalidRequest, TooManyHooks
from mlengine.jobs.hook_dispatcher import HookDispatcher
from mlengine.services.hooks.delivery import LEASE_SECONDS, DeliveryService
from mlengine.services.hooks.service import HookService, NewHook
from mlengine.stores.database.events import EventStore
from mlengine.stores.hooks.delivery_store import Answer, DeliveryStore
from mlengine.stores.hooks.hook_store import HookStore
from mlengine.stores.hooks.sender import HookSender

ROOT = Path(__file__).parents[3]


class Platform:
    """Hooks over one database, with a clock that is set by hand."""

    def __init__(self, engine: Engine) -> None:
        self.now = NOW
        self.events = EventStore(engine)
        self.store = DeliveryStore(engine)
        self.hook_store = HookStore(engine)
        self.hooks = HookService(self.hook_store, self.store, allow_private=True)
        self.deliveries = self.delivery(HookSender(allow_private=True, timeout_seconds=5.0))
        self._added = 0

    def delivery(self, sender: HookSender) -> DeliveryService:
        return DeliveryService(self.store, self.hook_store, sender, self.clock, lambda: 0.0)

    def clock(self) -> datetime:
        return self.now

    def add(self, url: str, *types: str) -> NewHook:
        self._added += 1
        secret = bytes([self._added]) * 32
        return self.hooks.add(
            url, types, hook_id=f"hook_{self._added}", secret=secret, actor="ops", now=self.now
        )

    def happen(self, kind: str = "trained", version: str = "v1") -> None:
        self.events.append(kind, at=self.now, version=version, actor="ops", details={})

    def deliver_all(self, hook_id: str = "hook_1") -> list[int | None]:
        """The statuses of the attempts at what is due."""
        return [answer.status for answer in iter(self._next(hook_id), None)]

    def _next(self, hook_id: str) -> Callable[[], object]:
        return lambda: self.deliveries.deliver_next(hook_id)

    def status(self, number: int = 0):
        return self.hooks.list()[number]


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with opened(new_database(tmp_path / "audit.db")) as engine:
        yield Platform(engine)


def test_a_message_is_delivered_once_and_signed(platform):
    with HookReceiver() as receiver:
        hook = platform.add(receiver.url)
        platform.happen()
        assert platform.deliveries.due_hooks() == ["hook_1"]
        assert platform.deliver_all() == [200]
        assert platform.deliver_all() == []
    (received,) = receiver.received
    assert received.is_signed_with(hook.secret)
    assert received.headers["content-type"] == "application/json"
    assert received.message["type"] == "model.trained"
    assert platform.status().delivered == 1


def test_one_that_answers_500_gets_it_again_in_five_seconds_with_the_same_id(platform):
    with HookReceiver(Reply(500)) as receiver:
        platform.add(receiver.url)
        platform.happen()
        assert platform.deliver_all() == [500]
        platform.now += timedelta(seconds=4.9)
        assert platform.deliveries.due_hooks() == []
        platform.now += timedelta(seconds=0.1)
        assert platform.deliver_all() == [200]
    first, second = receiver.received
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]


def test_one_that_is_down_gets_it_when_it_is_back_within_three_days(platform):
    with HookReceiver() as receiver:
        url = receiver.url
    platform.add(url)
    platform.happen()
    attempts = 0
    begun = platform.now
    while platform.now - begun < timedelta(days=5):
        attempts += len(platform.deliver_all())
        platform.now += timedelta(minutes=30)
    assert attempts == MOST_ATTEMPTS
    assert (platform.status().pending, platform.status().failed) == (0, 1)


def test_what_failed_for_good_is_delivered_when_it_is_asked_for_again(platform):
    with HookReceiver(always=Reply(500)) as receiver:
        platform.add(receiver.url)
        platform.happen()
        for _ in range(MOST_ATTEMPTS):
            platform.deliver_all()
            platform.now += timedelta(days=2)
        assert platform.status().failed == 1
        receiver.always = Reply(200)
        assert platform.deliver_all() == []
        again = platform.hooks.redeliver("hook_1", message=None, since=None, now=platform.now)
        assert (again.messages, platform.deliver_all()) == (1, [200])


def test_410_disables_the_hook_and_says_so(platform):
    with HookReceiver(Reply(410)) as receiver:
        platform.add(receiver.url)
        platform.happen()
        platform.happen(version="v2")
        assert platform.deliver_all() == [410]
        platform.happen(version="v3")
        assert platform.deliveries.due_hooks() == []
        assert platform.status().disabled_reason == "it answered 410"
        (event,) = platform.events.page("hook_disabled", 1, None).rows
        assert event.details == {"hook": "hook_1", "reason": "it answered 410"}

        platform.hooks.send_test("hook_1", actor="ops", now=platform.now)
        assert platform.deliver_all() == [200, 200], "the test, and what was waiting"
        assert platform.status().disabled_at is None
        missed = platform.hooks.redeliver("hook_1", message=None, since=NOW, now=platform.now)
        assert missed.messages == 3, "v1, v3 and that it was disabled"
        assert platform.deliver_all() == [200, 200, 200]


def test_a_redirect_is_an_attempt_that_failed(platform):
    with HookReceiver(Reply(302, headers={"Location": "/"})) as receiver:
        platform.add(receiver.url)
        platform.happen()
        assert platform.deliver_all() == [302]
    assert platform.status().pending == 1


def test_a_private_address_gets_nothing_where_it_is_refused(platform):
    with HookReceiver() as receiver:
        platform.add(receiver.url)
        platform.happen()
        platform.deliveries = platform.delivery(HookSender(allow_private=False))
        assert platform.deliver_all() == [None]
        assert receiver.received == []
    strict = HookService(platform.hook_store, platform.store, allow_private=False)
    with pytest.raises(InvalidRequest):
        strict.add("http://127.0.0.1/", [], hook_id="h", secret=b"1" * 32, actor="ops", now=NOW)


def test_a_message_that_a_killed_worker_had_is_delivered_by_another(platform):
    with HookReceiver() as receiver:
        platform.add(receiver.url)
        platform.happen()
        taken = platform.store.claim("hook_1", now=NOW, lease_seconds=LEASE_SECONDS)
        assert taken is not None
        assert platform.deliver_all() == [], "the other one has it"
        platform.now += timedelta(seconds=LEASE_SECONDS)
        assert platform.deliver_all() == [200]
    assert len(receiver.received) == 1


def test_a_worker_killed_after_the_delivery_and_before_its_record_loses_nothing(platform):
    with HookReceiver() as receiver:
        platform.add(receiver.url)
        platform.happen()
        url, module = str(platform.store.engine.url), deliver_then_die.__name__
        argv = [sys.executable, "-m", module, url, platform.now.isoformat()]
        killed = subprocess.run(argv, cwd=ROOT, check=False)
        assert killed.returncode == -signal.SIGKILL
        assert platform.deliver_all() == [], "until its lease has run out"
        platform.now += timedelta(seconds=LEASE_SECONDS)
        assert platform.deliver_all() == [200]
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert platform.status().delivered == 1


def test_a_worker_that_comes_late_does_not_undo_a_delivery(platform):
    with HookReceiver() as receiver:
        platform.add(receiver.url)
        platform.happen()
        late = platform.store.claim("hook_1", now=NOW, lease_seconds=LEASE_SECONDS)
        platform.now += timedelta(seconds=LEASE_SECONDS)
        assert platform.deliver_all() == [200]
    platform.store.record(late, Answer(500, "late"), retry_at=platform.now, now=platform.now)
    assert (platform.status().delivered, platform.deliver_all()) == (1, [])


def test_of_many_threads_one_delivers_a_message(platform):
    with HookReceiver() as receiver:
        platform.add(receiver.url)
        for _ in range(5):
            platform.happen()
        threads = [threading.Thread(target=platform.deliver_all) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    ids = [received.headers["webhook-id"] for received in receiver.received]
    assert (len(ids), len({*ids})) == (5, 5)


def test_a_rotated_secret_signs_beside_the_old_one_for_a_day(platform):
    with HookReceiver() as receiver:
        old = platform.add(receiver.url).secret
        rotated = platform.hooks.rotate("hook_1", secret=b"9" * 32, actor="ops", now=platform.now)
        signed_by = []
        for _ in range(2):
            platform.happen()
            platform.deliver_all()
            received = receiver.received[-1]
            signed_by.append([received.is_signed_with(each) for each in (old, rotated.secret)])
            platform.now = rotated.previous_until
    assert signed_by == [[True, True], [False, True]]


def test_a_test_that_fails_is_not_tried_again(platform):
    with HookReceiver(always=Reply(500)) as receiver:
        platform.add(receiver.url, "bars.revised")
        seq = platform.hooks.send_test("hook_1", actor="ops", now=platform.now)
        answer = platform.deliveries.deliver_message("hook_1", seq)
        assert answer.status == 500
        platform.now += timedelta(days=1)
        assert platform.deliver_all() == []
    assert receiver.received[0].message["type"] == "hook.test"


def test_one_message_is_delivered_again_by_its_id(platform):
    with HookReceiver() as receiver:
        platform.add(receiver.url)
        platform.happen()
        platform.deliver_all()
        name = receiver.received[0].headers["webhook-id"]
        platform.hooks.redeliver("hook_1", message=name, since=None, now=platform.now)
        assert platform.deliver_all() == [200]
        assert receiver.received[1].headers["webhook-id"] == name
    with pytest.raises(InvalidRequest):
        platform.hooks.redeliver("hook_1", message="msg_99_a", since=None, now=platform.now)


def test_a_removed_hook_gets_nothing_and_is_not_found(platform):
    platform.add("http://127.0.0.1/")
    platform.happen()
    platform.hooks.remove("hook_1", actor="ops", now=NOW)
    assert (platform.deliveries.due_hooks(), platform.hooks.list()) == ([], [])
    changes = platform.events.page("hook_changed", 9, None).rows
    assert [(each.actor, each.details["change"]) for each in changes] == [
        ("ops", "removed"),
        ("ops", "added"),
    ]
    with pytest.raises(HookNotFound):
        platform.hooks.remove("hook_1", actor="ops", now=NOW)
    with pytest.raises(HookNotFound):
        platform.hook_store.get("hook_1")


def test_what_is_no_type_is_refused_and_so_are_too_many_hooks(platform):
    with pytest.raises(InvalidRequest, match=r"model\.trained"):
        platform.add("http://127.0.0.1/", "model.baked")
    for _ in range(20):
        platform.add("http://127.0.0.1/")
    with pytest.raises(TooManyHooks):
        platform.add("http://127.0.0.1/")


def test_old_messages_go_after_thirty_days(platform):
    platform.add("http://127.0.0.1:1/")
    platform.happen()
    platform.now += timedelta(days=29)
    assert platform.deliveries.prune() == 0
    platform.now += timedelta(days=2)
    assert (platform.deliveries.prune(), platform.status().pending) == (1, 0)


def test_neither_the_secret_nor_the_address_is_said_in_the_log(platform, caplog):
    caplog.set_level(logging.DEBUG)
    with HookReceiver(Reply(500)) as receiver:
        hook = platform.add(receiver.url)
        platform.happen()
        platform.deliver_all()
    said = f"{caplog.text} {[vars(record) for record in caplog.records]}"
    assert "hook not delivered" in said
    assert hook.secret not in said
    assert receiver.url not in said
    assert hook.secret not in repr(platform.hook_store.get("hook_1"))


class Stuck(HookReceiver):
    """Answers nobody before it is freed."""

    def __init__(self) -> None:
        super().__init__()
        self.freed = threading.Event()

    def take(self, received: Received) -> Reply:
        reply = super().take(received)
        self.freed.wait(60)
        return reply


def test_a_stuck_hook_keeps_no_other_from_its_messages(platform):
    patient = HookSender(allow_private=True, timeout_seconds=60.0)
    dispatcher = HookDispatcher(platform.delivery(patient))
    with Stuck() as stuck, HookReceiver() as quick:
        platform.add(stuck.url)
        platform.add(quick.url)
        for _ in range(3):
            platform.happen()
        try:
            assert dispatcher.tick() == 1.0
            assert eventually(lambda: len(quick.received) == 3)
            assert len(stuck.received) <= 1
        finally:
            dispatcher.stop()
            stuck.freed.set()
            assert eventually(lambda: not dispatcher._busy)
