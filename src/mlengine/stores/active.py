"""`ACTIVE`, the one file that names the version that serves, replaced in one step."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson

from mlengine.core.intervals import parse_rfc3339, rfc3339
from mlengine.errors import ArtifactCorrupt, NoActiveModel
from mlengine.stores import durable

Signature = tuple[int, int, int]


@dataclass(frozen=True)
class Active:
    """What the file says; `generation` counts activations from 1."""

    version: str
    generation: int
    activated_at: datetime
    actor: str
    reason: str
    previous_version: str | None


@dataclass(frozen=True)
class ActiveFile:
    path: Path

    def read(self) -> Active | None:
        """None before the first activation; raises ArtifactCorrupt when it can't be read."""
        try:
            said = orjson.loads(self.path.read_bytes())
            return Active(
                version=said["version"],
                generation=said["generation"],
                activated_at=parse_rfc3339(said["activated_at"]),
                actor=said["actor"],
                reason=said["reason"],
                previous_version=said.get("previous_version"),
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            raise ArtifactCorrupt("ACTIVE", "it can't be read") from None

    def signature(self) -> Signature | None:
        """What changes whenever the file is replaced; one `stat`."""
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size

    def touch(self) -> None:
        """Make every process load the active version again; raises NoActiveModel."""
        try:
            os.utime(self.path)
        except FileNotFoundError:
            raise NoActiveModel from None

    def replace(self, version: str, *, actor: str, reason: str, now: datetime) -> Active:
        """Name another version; the caller holds the registry's lock."""
        before = self.read()
        active = Active(
            version=version,
            generation=before.generation + 1 if before else 1,
            activated_at=now,
            actor=actor,
            reason=reason,
            previous_version=_previous(before, version),
        )
        durable.replace_file(self.path, _dump(active))
        return active


def _previous(before: Active | None, version: str) -> str | None:
    """The version to roll back to; activating the active version again keeps it."""
    if before is None:
        return None
    return before.previous_version if before.version == version else before.version


def _dump(active: Active) -> bytes:
    said = {**vars(active), "activated_at": rfc3339(active.activated_at)}
    return orjson.dumps(said, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
