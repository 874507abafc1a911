"""Webhooks and their messages in memory, for the tests of the HTTP door; nothing is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.web.answers import DAY

from mlengine.core.monitoring.messages import Message
from mlengine.errors import HookNotFound
from mlengine.services.hooks.service import HookStatus, NewHook, Redelivery, RotatedSecret

HOOK = HookStatus(
    id="hook_1",
    host="hooks.example.com",
    events=("model.*",),
    created_at=DAY,
    disabled_at=None,
    disabled_reason=None,
    pending=1,
    delivered=2,
    failed=0,
)


@dataclass(frozen=True)
class FakeOutbox:
    messages: list[Message] = field(default_factory=list)

    def newest_seq(self) -> int:
        return len(self.messages)

    def after(self, seq: int, *, limit: int) -> list[Message]:
        return self.messages[seq : seq + limit]


@dataclass(frozen=True)
class FakeHookService:
    calls: list[tuple[object, ...]] = field(default_factory=list)

    def add(
        self,
        url: str,
        types: Sequence[str],
        *,
        hook_id: str,
        secret: bytes,
        actor: str,
        now: datetime,
    ) -> NewHook:
        self.calls.append(("add", url, tuple(types), actor, now))
        return NewHook(hook_id, "hooks.example.com", tuple(types), f"whsec_{len(secret)}")

    def list(self) -> Sequence[HookStatus]:
        return [HOOK]

    def send_test(self, hook_id: str, *, actor: str, now: datetime) -> int:
        self._require(hook_id)
        self.calls.append(("test", actor, now))
        return 1

    def redeliver(
        self, hook_id: str, *, message: str | None, since: datetime | None, now: datetime
    ) -> Redelivery:
        self._require(hook_id)
        self.calls.append(("redeliver", message, since, now))
        return Redelivery(hook_id, 3)

    def rotate(self, hook_id: str, *, secret: bytes, actor: str, now: datetime) -> RotatedSecret:
        self._require(hook_id)
        self.calls.append(("rotate", actor, now))
        return RotatedSecret(hook_id, f"whsec_{len(secret)}", now + timedelta(days=1))

    def remove(self, hook_id: str, *, actor: str, now: datetime) -> None:
        self._require(hook_id)
        self.calls.append(("remove", actor, now))

    def _require(self, hook_id: str) -> None:
        if hook_id != HOOK.id:
            raise HookNotFound(hook_id)
