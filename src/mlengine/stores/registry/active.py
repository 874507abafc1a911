"""`ACTIVE`, the one file that names the version that serves, replaced in one step."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path

import orjson

from mlengine.core import serialization
from mlengine.core.monitoring.event import EventKind
from mlengine.core.timestamps import rfc3339
from mlengine.errors import ArtifactCorrupt, NoActiveModel
from mlengine.stores.registry.folders import VERSION
from mlengine.stores.system import atomic_files, strict_files

Signature = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class ActiveVersion:
    """What the file says; `generation` counts activations from 1, `kind` is that of its event."""

    version: str
    generation: int
    kind: EventKind = field(default="activated", metadata=serialization.OPTIONAL)
    activated_at: datetime
    actor: str
    reason: str
    previous_version: str | None = field(default=None, metadata=serialization.OPTIONAL)


@dataclass(frozen=True)
class ActiveFile:
    path: Path

    def read(self) -> ActiveVersion | None:
        """None before the first activation; raises ArtifactCorrupt when it can't be read."""
        try:
            return self._parse()
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            raise ArtifactCorrupt(self.path.name, "it can't be read") from None

    def signature(self) -> Signature | None:
        """What changes whenever the file is replaced; one `stat`."""
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size

    def touch(self) -> None:
        """Make every process load the active version again.

        Raises NoActiveModel or ArtifactCorrupt.
        """
        try:
            os.utime(self.path)
        except FileNotFoundError:
            raise NoActiveModel from None
        except OSError:
            raise ArtifactCorrupt(self.path.name, "it can't be read") from None

    def read_or_none(self) -> ActiveVersion | None:
        """As `read`, but None also for a file that can't be read: a new one may take its place."""
        try:
            return self.read()
        except ArtifactCorrupt:
            return None

    def replace(
        self,
        version: str,
        *,
        kind: EventKind,
        actor: str,
        reason: str,
        now: datetime,
        after_generation: int,
    ) -> ActiveVersion:
        """Name another version; the caller holds the registry's lock.

        The generation is higher than that of the file and than `after_generation`, which is the
        last one in the history: a file that was damaged does not start again from 1. A file that
        is whole and can't be read now is not written over: raises OSError.
        """
        active = following(
            self._previous(),
            version,
            kind=kind,
            actor=actor,
            reason=reason,
            now=now,
            after_generation=after_generation,
        )
        atomic_files.replace_file(self.path, dump(active))
        return active

    def _previous(self) -> ActiveVersion | None:
        try:
            return self._parse()
        except (FileNotFoundError, ValueError):
            return None

    def _parse(self) -> ActiveVersion:
        """Raises OSError or ValueError."""
        return _parse(strict_files.read_json_object(self.path))


_FIELDS = frozenset(each.name for each in fields(ActiveVersion))
_MOST_GENERATIONS = 2**53


def following(
    previous: ActiveVersion | None,
    version: str,
    *,
    kind: EventKind,
    actor: str,
    reason: str,
    now: datetime,
    after_generation: int,
) -> ActiveVersion:
    """The next activation; its generation is above that before it and `after_generation`."""
    return ActiveVersion(
        version=version,
        generation=max(previous.generation if previous else 0, after_generation) + 1,
        kind=kind,
        activated_at=now,
        actor=actor,
        reason=reason,
        previous_version=_rollback_version(previous, version),
    )


def dump(active: ActiveVersion) -> bytes:
    """What the file holds."""
    plain = {**vars(active), "activated_at": rfc3339(active.activated_at)}
    return orjson.dumps(plain, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def parse_or_none(content: bytes) -> ActiveVersion | None:
    """The inverse of `dump`; None for what is damaged."""
    try:
        return _parse(strict_files.parse_json_object(content))
    except ValueError:
        return None


def _parse(content: Mapping[str, object]) -> ActiveVersion:
    """Raises ValueError; fields that a newer platform wrote are left out."""
    ours = {name: content[name] for name in _FIELDS & content.keys()}
    active = serialization.from_plain(ActiveVersion, ours)
    names = (active.version, active.previous_version or active.version)
    if not all(map(VERSION.match, names)) or not 0 < active.generation < _MOST_GENERATIONS:
        raise ValueError("no versions are named, or no generation")
    return active


def _rollback_version(previous: ActiveVersion | None, version: str) -> str | None:
    """The version to roll back to; activating the active version again keeps it."""
    if previous is None:
        return None
    return previous.previous_version if previous.version == version else previous.version
