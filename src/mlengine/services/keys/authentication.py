"""Whose key was presented, and what that one may do."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from mlengine.core.keys import EVERY_SCOPE, Scope
from mlengine.errors import Unauthorized
from mlengine.stores.keys.key_ring import KeyRing


@dataclass(frozen=True)
class KeyHolder:
    name: str
    scopes: frozenset[Scope]


@dataclass(frozen=True)
class Authentication:
    """`admin_keys`, by name, open everything; those of the ring what their scopes say."""

    admin_keys: Mapping[str, str]
    ring: KeyRing

    @property
    def has_keys(self) -> bool:
        return bool(self.admin_keys) or self.ring.has_file

    def authenticate(self, presented: str, *, now: datetime) -> KeyHolder:
        """The holder of a valid key; raises Unauthorized.

        Takes as long for a name that nobody has as for the wrong secret of one that somebody has.
        """
        if admin := self._find_admin(presented):
            return KeyHolder(admin, EVERY_SCOPE)
        found = self.ring.find(presented)
        if found is None:
            raise Unauthorized("the key in the header X-API-Key is none of this platform's")
        name, key = found
        if (state := key.state(now)) != "valid":
            raise Unauthorized(f"the key in the header X-API-Key is {state}")
        return KeyHolder(name, frozenset(key.scopes))

    def _find_admin(self, presented: str) -> str | None:
        """Compares with every key, whichever matches; headers come as Latin-1."""
        sent = presented.encode("latin-1", "replace")
        names = [
            name for name, key in self.admin_keys.items() if hmac.compare_digest(key.encode(), sent)
        ]
        return names[-1] if names else None
