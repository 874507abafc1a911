"""The keys in force: those of the file as it was last whole, read again whenever it changes."""

from __future__ import annotations

import hmac
import logging
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from mlengine.core.keys import SALT_BYTES, ApiKey, hash_secret, parse_key
from mlengine.errors import KeysDamaged
from mlengine.stores.keys.key_file import KeyFile, Signature

log = logging.getLogger(__name__)

# Hashed for a name that nobody has, so that it takes as long as one that somebody has.
_NOBODY = "0" * 2 * SALT_BYTES


@dataclass(frozen=True)
class _ReadKeys:
    """One content of the file, and which keys were verified against it.

    `verified` has their digests, by name, under a secret of this process: no key is kept.
    """

    keys: Mapping[str, ApiKey]
    signature: Signature | None
    damage: KeysDamaged | None = None
    verified: dict[str, bytes] = field(default_factory=dict)


class KeyRing:
    """Safe to use from many threads; without a file there are no named keys."""

    def __init__(self, file: KeyFile | None) -> None:
        self._file = file
        self._digest_key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._read = _ReadKeys({}, None)
        if file is not None:
            self._read = self._read_again(file)

    @property
    def has_file(self) -> bool:
        return self._file is not None

    def keys(self) -> Mapping[str, ApiKey]:
        """By name, also those that have expired or are revoked."""
        return self._current().keys

    def damage(self) -> KeysDamaged | None:
        """Why the file can't be used as it is; then the keys before it stay in force."""
        return self._current().damage

    def reload(self) -> None:
        """Read the file again, whether it changed or not; remembered keys are verified again."""
        if self._file is not None:
            with self._lock:
                self._read = self._read_again(self._file)

    def find(self, presented: str) -> tuple[str, ApiKey] | None:
        """Name and key of what was presented, whatever its state; None for none of the keys.

        One scrypt, for a name that nobody has too, and none for a key that was verified before.
        """
        current, parts = self._current(), parse_key(presented)
        if parts is None:
            return None
        digest = self.digest(presented)
        name, secret = parts
        if not hmac.compare_digest(current.verified.get(name, b""), digest):
            key = current.keys.get(name)
            hashed = hash_secret(secret, key.salt if key else _NOBODY)
            if not hmac.compare_digest(hashed, key.hash if key else "") or key is None:
                return None
            current.verified[name] = digest
        return name, current.keys[name]

    def digest(self, presented: str) -> bytes:
        """What stands for a key in memory; of no use to anybody but this process."""
        return hmac.digest(self._digest_key, presented.encode("utf-8", "replace"), sha256)

    def _current(self) -> _ReadKeys:
        file, read = self._file, self._read
        if file is None or file.signature() == read.signature:
            return read
        with self._lock:
            if file.signature() != self._read.signature:
                self._read = self._read_again(file)
            return self._read

    def _read_again(self, file: KeyFile) -> _ReadKeys:
        signature = file.signature()  # before the content: a change meanwhile is read once more
        read = self._read_or_keep(file, signature)
        if read.damage:
            log.error("keys refused", extra={"reason": str(read.damage), "kept": len(read.keys)})
        else:
            log.info("keys read", extra={"keys": len(read.keys)})
        return read

    def _read_or_keep(self, file: KeyFile, signature: Signature | None) -> _ReadKeys:
        try:
            return _ReadKeys(file.read(), signature)
        except KeysDamaged as damage:
            return _ReadKeys(self._read.keys, signature, damage, self._read.verified)
