"""Adding, listing and revoking named keys."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from mlengine.core.keys import ApiKey, Scope, hash_secret, ordered_scopes, write_key
from mlengine.errors import KeyNameTaken, KeyNotFound
from mlengine.stores.keys.key_file import KeyFile

# Those whom the history names beside key holders.
_RESERVED_NAMES = frozenset({"admin", "first-training", "gate", "public", "retention", "schedule"})


@dataclass(frozen=True)
class NamedKeys:
    """`taken` are the names of other keys."""

    file: KeyFile
    taken: frozenset[str] = frozenset()

    def add(
        self,
        name: str,
        scopes: Iterable[Scope],
        *,
        secret: str,
        salt: str,
        now: datetime,
        expires_at: datetime | None,
    ) -> str:
        """The key, which is nowhere else from now on.

        A name is free again once its key was revoked or has expired. Raises KeyNameTaken,
        KeysDamaged or ArtifactsUnavailable.
        """
        with self.file.change() as keys:
            before = keys.get(name)
            in_use = before is not None and before.state(now) == "valid"
            if in_use or name in self.taken | _RESERVED_NAMES:
                raise KeyNameTaken(name)
            keys[name] = ApiKey(
                scopes=ordered_scopes(scopes),
                salt=salt,
                hash=hash_secret(secret, salt),
                created_at=now,
                expires_at=expires_at,
            )
        return write_key(name, secret)

    def list(self) -> dict[str, ApiKey]:
        """By name; raises KeysDamaged."""
        return self.file.read() if self.file.path.exists() else {}

    def revoke(self, name: str, *, now: datetime) -> bool:
        """Let `name` open nothing from now on; False where it was revoked before.

        Raises KeyNotFound, KeysDamaged or ArtifactsUnavailable.
        """
        with self.file.change() as keys:
            if name not in keys:
                raise KeyNotFound(name)
            if keys[name].revoked_at is not None:
                return False
            keys[name] = replace(keys[name], revoked_at=now)
        return True
