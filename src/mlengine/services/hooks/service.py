"""Adding, trying and removing webhooks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mlengine.core.hooks.signature import message_seq, write_secret
from mlengine.core.monitoring.messages import ALL_TYPES, is_type_or_family, test_body
from mlengine.errors import InvalidRequest
from mlengine.stores.hooks.addresses import parse_target
from mlengine.stores.hooks.delivery_store import DeliveryStore
from mlengine.stores.hooks.hook_store import DeliveryCounts, Hook, HookStore

# So long the old secret signs beside the new one.
ROTATION = timedelta(hours=24)


@dataclass(frozen=True, kw_only=True)
class HookStatus:
    """A hook without its secrets; `host` is all that is shown of an address that may be one."""

    id: str
    host: str
    events: tuple[str, ...]
    created_at: datetime
    disabled_at: datetime | None
    disabled_reason: str | None
    pending: int
    delivered: int
    failed: int


@dataclass(frozen=True)
class NewHook:
    """`secret` is shown this once."""

    id: str
    host: str
    events: tuple[str, ...]
    secret: str


@dataclass(frozen=True)
class RotatedSecret:
    """`secret` is shown this once; until `previous_until` the one before signs too."""

    id: str
    secret: str
    previous_until: datetime


@dataclass(frozen=True)
class Redelivery:
    """How many messages were put up again."""

    id: str
    messages: int


@dataclass(frozen=True)
class HookService:
    hooks: HookStore
    deliveries: DeliveryStore
    allow_private: bool

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
        """Let `url` get the messages of these types, of all where there are none.

        Raises InvalidRequest or TooManyHooks.
        """
        unknown = [each for each in types if not is_type_or_family(each)]
        if unknown:
            known = ", ".join(ALL_TYPES)
            raise InvalidRequest({"events": [f"{unknown[0][:64]!r} is none of {known}"]})
        try:
            target = parse_target(url, allow_private=self.allow_private)
        except ValueError as refusal:
            raise InvalidRequest({"url": [str(refusal)]}) from None
        wanted = tuple(dict.fromkeys(types))
        written = write_secret(secret)
        hook = Hook(id=hook_id, url=url, types=wanted, created_at=now, secret=written)
        self.hooks.add(hook, actor=actor)
        return NewHook(hook_id, target.host, wanted, written)

    def list(self) -> Sequence[HookStatus]:
        """All hooks, the oldest first, with what became of their messages of thirty days."""
        counts = self.hooks.counts()
        return [_status(hook, counts.get(hook.id, DeliveryCounts())) for hook in self.hooks.list()]

    def send_test(self, hook_id: str, *, actor: str, now: datetime) -> int:
        """Put up a message `hook.test` for this hook alone; returns its number.

        Once it is delivered, a hook that was disabled is so no more. Raises HookNotFound.
        """
        self.hooks.get(hook_id)
        body = test_body(hook_id, actor, now)
        return self.deliveries.add_test(hook_id, body=body, now=now)

    def redeliver(
        self, hook_id: str, *, message: str | None, since: datetime | None, now: datetime
    ) -> Redelivery:
        """Put up again what the hook did not get, or this one message.

        With `since` also what it missed from then on, as it was disabled or not there yet. Raises
        HookNotFound or InvalidRequest.
        """
        hook = self.hooks.get(hook_id)
        if message is None:
            return Redelivery(hook_id, self.deliveries.deliver_again(hook, since=since, now=now))
        seq = message_seq(message)
        count = self.deliveries.deliver_message_again(hook, seq, now=now) if seq else 0
        if not count:
            raise InvalidRequest({"message": ["there is no such message"]})
        return Redelivery(hook_id, count)

    def rotate(self, hook_id: str, *, secret: bytes, actor: str, now: datetime) -> RotatedSecret:
        """Sign with a new secret, and for a day with the old one too; raises HookNotFound."""
        written, until = write_secret(secret), now + ROTATION
        self.hooks.rotate(hook_id, written, previous_until=until, actor=actor, now=now)
        return RotatedSecret(hook_id, written, until)

    def remove(self, hook_id: str, *, actor: str, now: datetime) -> None:
        """It gets nothing more; raises HookNotFound."""
        self.hooks.remove(hook_id, actor=actor, now=now)


def _status(hook: Hook, counts: DeliveryCounts) -> HookStatus:
    host = parse_target(hook.url, allow_private=True).host
    return HookStatus(
        id=hook.id,
        host=host,
        events=hook.types,
        created_at=hook.created_at,
        disabled_at=hook.disabled_at,
        disabled_reason=hook.disabled_reason,
        **vars(counts),
    )
