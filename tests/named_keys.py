"""Named keys for tests, in a file of their own."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from mlengine.core.keys import Scope
from mlengine.services.keys.named_keys import NamedKeys
from mlengine.stores.keys.key_file import KeyFile

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def add_key(
    path: Path, name: str, *scopes: Scope, expires_at: datetime | None = None, letter: str = "s"
) -> str:
    """The key; its secret is made of one letter."""
    return NamedKeys(KeyFile(path)).add(
        name,
        scopes,
        secret=letter * 43,
        salt=f"{len(name):032x}",
        now=LONG_AGO,
        expires_at=expires_at,
    )


def revoke_key(path: Path, name: str) -> None:
    NamedKeys(KeyFile(path)).revoke(name, now=LONG_AGO)
