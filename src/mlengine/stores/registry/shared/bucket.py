"""A folder of a bucket: objects that are read, created and replaced only as far as they are known.

Conditional writes are all that keeps hosts from writing over each other, so a server that ignores
them is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotModifiedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from mlengine.errors import CannotStart, RegistryUnavailable

_PROBE = "conditional-writes"
_CLIENT: Any = {"timeout": "10s", "connect_timeout": "2s", "allow_http": True}
_RETRIES: Any = {"max_retries": 3, "retry_timeout": timedelta(seconds=5)}


@dataclass(frozen=True)
class StoredObject:
    """What an object held, and the tag that it has as long as it holds that."""

    content: bytes
    tag: str


@dataclass(frozen=True)
class Bucket:
    """What is below `url`, such as `s3://models/prod`; the `AWS_` variables say where and who.

    Every method raises RegistryUnavailable where the store does not answer or refuses.
    """

    url: str
    _known: dict[str, StoredObject] = field(default_factory=dict, init=False, compare=False)

    def get(self, key: str) -> StoredObject | None:
        """The object as it is; None where there is none."""
        return self._get(key, None)

    def look(self, key: str) -> StoredObject | None:
        """As `get`, at the cost of a conditional request where it is as it was at the last look."""
        known = self._known.get(key)
        stored = self._get(key, known)
        if stored is None:
            self._known.pop(key, None)
        else:
            self._known[key] = stored
        return stored

    def put(self, key: str, content: bytes) -> None:
        """Write an object that nobody else writes."""
        with _translated_errors():
            self._put(key, content)

    def create(self, key: str, content: bytes) -> bool:
        """Write a new object; False where somebody else wrote it.

        The answer to a write may be lost and the write repeated: what stands there is looked at.
        """
        return self._claim(key, content, "create", AlreadyExistsError)

    def replace(self, key: str, content: bytes, before: StoredObject | None) -> bool:
        """Write over what was read; False where it is another by now."""
        if before is None:
            return self.create(key, content)
        taken = (PreconditionError, FileNotFoundError)
        return self._claim(key, content, {"e_tag": before.tag}, taken)

    def keys(self, prefix: str) -> list[str]:
        """All keys that begin with `prefix`, which ends with a slash, without it."""
        with _translated_errors():
            pages: Iterator[Any] = iter(obstore.list(self._store, prefix.rstrip("/")))
            return [each["path"].removeprefix(prefix) for page in pages for each in page]

    def delete(self, keys: list[str]) -> None:
        """Remove objects, those that are there."""
        with _translated_errors():
            for key in keys:
                obstore.delete(self._store, key)

    def require_conditional_writes(self) -> None:
        """Raises CannotStart for a server that writes over what it was told not to."""
        first, second = (token_hex(8).encode() for _ in range(2))
        self.create(_PROBE, first)
        if self.create(_PROBE, second):
            raise CannotStart(
                f"the store of REGISTRY_URL {self.url} ignores conditional writes (If-None-Match),"
                " so that hosts would write over each other"
            )

    def _claim(
        self,
        key: str,
        content: bytes,
        mode: Any,
        taken: type[Exception] | tuple[type[Exception], ...],
    ) -> bool:
        with _translated_errors():
            try:
                self._put(key, content, mode=mode)
            except taken:
                pass
            else:
                return True
        there = self.get(key)
        return there is not None and there.content == content

    def _put(self, key: str, content: bytes, **options: Any) -> None:
        # In one request, for the condition of several is not checked at the first.
        obstore.put(self._store, key, content, use_multipart=False, **options)

    def _get(self, key: str, known: StoredObject | None) -> StoredObject | None:
        options: Any = {"if_none_match": known.tag} if known else {}
        with _translated_errors():
            try:
                result = obstore.get(self._store, key, options=options)
                return StoredObject(bytes(result.bytes()), result.meta["e_tag"] or "")
            except NotModifiedError:
                return known
            except FileNotFoundError:
                return None

    @cached_property
    def _store(self) -> S3Store:
        parts = urlsplit(self.url)
        prefix = parts.path.strip("/") or None
        return S3Store(parts.netloc, prefix=prefix, client_options=_CLIENT, retry_config=_RETRIES)


def change(bucket: Bucket, key: str, to: Callable[[StoredObject | None], bytes]) -> None:
    """Replace an object by what `to` makes of it, again and again until nobody came between."""
    while True:
        before = bucket.get(key)
        if bucket.replace(key, to(before), before):
            return


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError) as error:
        raise RegistryUnavailable(_reason(error)) from error


def _reason(error: Exception) -> str:
    """In words that quote neither address nor key."""
    if isinstance(error, PermissionDeniedError):
        return "it refuses access"
    return "it refuses the key" if isinstance(error, UnauthenticatedError) else "it does not answer"
