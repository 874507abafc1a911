"""Delivering the messages of the outbox: at least once each, whoever is killed on the way."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from mlengine import __version__
from mlengine.core.hooks.retry_schedule import pause_after
from mlengine.core.hooks.signature import message_id, signed_headers
from mlengine.core.monitoring.messages import TEST_TYPE
from mlengine.stores.database.platform_id import read_platform_id
from mlengine.stores.hooks.delivery_store import Answer, Delivery, DeliveryStore
from mlengine.stores.hooks.hook_store import HookStore
from mlengine.stores.hooks.sender import HookSender

log = logging.getLogger(__name__)

# Longer than a call takes, with a slow answer to what its name means.
LEASE_SECONDS = 90.0
_KEPT = timedelta(days=30)


@dataclass(frozen=True)
class DeliveryService:
    """`jitter` gives numbers from 0 to 1, by which pauses are spread."""

    store: DeliveryStore
    hooks: HookStore
    sender: HookSender
    clock: Callable[[], datetime]
    jitter: Callable[[], float]

    def due_hooks(self) -> list[str]:
        """The hooks that a message is due for; raises DatabaseUnavailable, as all here."""
        return self.store.due_hooks(now=self.clock())

    def deliver_next(self, hook_id: str) -> Answer | None:
        """Deliver the hook's next message; None where none is due, or another has it."""
        delivery = self.store.claim(hook_id, now=self.clock(), lease_seconds=LEASE_SECONDS)
        return None if delivery is None else self._deliver(delivery)

    def deliver_message(self, hook_id: str, seq: int) -> Answer | None:
        """As `deliver_next`, of this message."""
        now = self.clock()
        delivery = self.store.claim_message(hook_id, seq, now=now, lease_seconds=LEASE_SECONDS)
        return None if delivery is None else self._deliver(delivery)

    def prune(self) -> int:
        """Delete the messages of more than thirty days ago; returns how many."""
        return self.store.prune(before=self.clock() - _KEPT)

    def _deliver(self, delivery: Delivery) -> Answer:
        answer = self._send(delivery)
        now = self.clock()
        retry_at = None if answer.is_success else self._retry_at(delivery, answer, now)
        self.store.record(delivery, answer, retry_at=retry_at, now=now)
        is_test = delivery.message.type == TEST_TYPE
        if answer.is_success and is_test:
            self.hooks.enable(delivery.hook.id)
        if not answer.is_success:
            facts = {"hook": delivery.hook.id, "message_seq": delivery.message.seq}
            ended = {"attempts": delivery.attempts + 1, "retry_at": retry_at}
            level = logging.ERROR if retry_at is None and not is_test else logging.WARNING
            log.log(level, "hook not delivered", extra={**facts, **ended, "reason": answer.reason})
        return answer

    def _send(self, delivery: Delivery) -> Answer:
        message, now = delivery.message, self.clock()
        name = message_id(message, self._platform_id)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"mlengine/{__version__}",
            **signed_headers(message, name, delivery.hook.secrets(now), now=now),
        }
        return self.sender.post(delivery.hook.url, message.body.encode(), headers)

    def _retry_at(self, delivery: Delivery, answer: Answer, now: datetime) -> datetime | None:
        if answer.is_gone or delivery.message.type == TEST_TYPE:
            return None
        pause = pause_after(delivery.attempts + 1, jitter=self.jitter())
        return None if pause is None else now + pause

    @cached_property
    def _platform_id(self) -> str:
        return read_platform_id(self.store.engine)
