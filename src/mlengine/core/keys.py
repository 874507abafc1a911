"""Named API keys: what each may do, until when, and how one is written.

A key reads `mle_NAME_SECRET`. Its name finds it, so that one hash decides.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias, get_args

from mlengine.core.serialization import OPTIONAL

Scope: TypeAlias = Literal["read", "predict", "train", "activate", "audit", "hooks"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
EVERY_SCOPE = frozenset(SCOPES)

KEY_NAME_RULE = "1 to 32 letters, digits and dashes, the first one no dash"
_NAME = r"[A-Za-z0-9][A-Za-z0-9-]{0,31}"
SECRET_BYTES, SALT_BYTES = 32, 16
_SCRYPT_COST = 2**14  # 16 MiB and some 40 ms a guess; a secret of 256 bits needs no more
_KEY = re.compile(rf"mle_({_NAME})_([A-Za-z0-9_-]{{43}})")
_SALT, _HASH = re.compile("[0-9a-f]{32}"), re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """One named key without its secret: `salt` and `hash` are hexadecimal, of scrypt."""

    scopes: tuple[Scope, ...]
    salt: str = field(repr=False)
    hash: str = field(repr=False)
    created_at: datetime
    expires_at: datetime | None = field(default=None, metadata=OPTIONAL)
    revoked_at: datetime | None = field(default=None, metadata=OPTIONAL)

    def __post_init__(self) -> None:
        """Raises ValueError for digests that are none, and for scopes given twice or not at all."""
        if not (_SALT.fullmatch(self.salt) and _HASH.fullmatch(self.hash)):
            raise ValueError("salt and hash are hexadecimal")
        if not self.scopes or len({*self.scopes}) < len(self.scopes):
            raise ValueError("scopes are given once each")

    def state(self, now: datetime) -> Literal["valid", "expired", "revoked"]:
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "valid"


def is_key_name(text: str) -> bool:
    """See KEY_NAME_RULE."""
    return re.fullmatch(_NAME, text) is not None


def ordered_scopes(scopes: Iterable[Scope]) -> tuple[Scope, ...]:
    """Each once, in the order of SCOPES."""
    wanted = {*scopes}
    return tuple(scope for scope in SCOPES if scope in wanted)


def hash_secret(secret: str, salt: str) -> str:
    """The scrypt hash of RFC 7914 in hexadecimal; `salt` is hexadecimal too."""
    digest = hashlib.scrypt(
        secret.encode(), salt=bytes.fromhex(salt), n=_SCRYPT_COST, r=8, p=1, dklen=32
    )
    return digest.hex()


def write_key(name: str, secret: str) -> str:
    """The key that its holder sends; `secret` is SECRET_BYTES in URL-safe base 64."""
    return f"mle_{name}_{secret}"


def parse_key(text: str) -> tuple[str, str] | None:
    """Name and secret of what `write_key` wrote; None for anything else."""
    match = _KEY.fullmatch(text)
    return (match[1], match[2]) if match else None
