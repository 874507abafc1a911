"""The registry: immutable versions in folders, and `ACTIVE`, which names the one that serves.

A version becomes visible by one rename of a finished folder, and is never edited afterwards.
Numbers are given under a lock file, so that concurrent publishers get consecutive ones.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import ClassVar

from mlengine.core.monitoring.event import EventKind
from mlengine.core.versions import manifest as manifests
from mlengine.core.versions.layout import ACTIVE_FILE, IDENTITY_FILE, MANIFEST_FILE, PINS_FILE
from mlengine.core.versions.manifest import Manifest
from mlengine.core.versions.pruning import Pin, PruneDecision, plan_prune
from mlengine.errors import ModelNotFound
from mlengine.stores.registry.active import ActiveFile, ActiveVersion
from mlengine.stores.registry.folders import (
    REMOVED,
    STAGING,
    VERSION,
    clear_leftovers,
    published_versions,
    remove_staged,
)
from mlengine.stores.registry.pins import PinFile
from mlengine.stores.registry.version_files import read_manifest, read_version_file, sha256
from mlengine.stores.system import atomic_files


@dataclass(frozen=True)
class Registry:
    """The versions of one model line below `directory`."""

    directory: Path

    is_shared: ClassVar[bool] = False

    def refresh(self, *, active_only: bool = False) -> None:
        """Take in what other hosts did; a folder always has it all."""

    def identity(self) -> str:
        """A name of this registry, the same for ever; raises ArtifactsUnavailable."""
        with atomic_files.translated_os_errors():
            atomic_files.make_directory(self.directory)
            path = self.directory / IDENTITY_FILE
            with atomic_files.file_lock(self.directory / ".lock"):
                if not path.exists():
                    atomic_files.replace_file(path, token_hex(6).encode())
            return path.read_text()

    def versions(self) -> list[str]:
        """Published versions in numeric order."""
        return published_versions(self.directory)

    def publish(
        self, draft: Manifest, files: Mapping[str, bytes], *, fence: Callable[[], None]
    ) -> Manifest:
        """Make `files` the next version; `fence` raises when the caller may no longer publish.

        Nothing is visible before the one rename at the end, and a failure leaves nothing behind.
        Raises ArtifactsUnavailable, and what `fence` raises.
        """
        with atomic_files.translated_os_errors():
            atomic_files.make_directory(self.directory)
            atomic_files.force_names(self.directory, folders=2)  # below that of the artifacts
            staging = self.directory / f"{STAGING}{draft.run_id}"
            remove_staged(self.directory, {draft.run_id})
            try:
                return self._publish(draft, files, staging, fence)
            finally:
                remove_staged(self.directory, {draft.run_id})

    def manifest(self, version: str) -> Manifest:
        """The verified manifest; raises ModelNotFound or ArtifactCorrupt."""
        return read_manifest(self._folder(version))

    def read(self, version: str, name: str) -> bytes:
        """A file of a version, checked against the manifest's digest."""
        return self._read(self.manifest(version), name)

    def load(self, version: str, name: str) -> tuple[Manifest, bytes]:
        """The manifest and one file, after every file of the version was verified."""
        manifest = self.verify(version)
        return manifest, self._read(manifest, name)

    def verify(self, version: str) -> Manifest:
        """Check every digest of a version; raises ArtifactCorrupt with the first that differs."""
        manifest = self.manifest(version)
        for name in manifest.files:
            self._read(manifest, name)
        return manifest

    @property
    def active(self) -> ActiveFile:
        return ActiveFile(self.directory / ACTIVE_FILE)

    def activate(
        self,
        version: str,
        *,
        actor: str,
        reason: str,
        now: datetime,
        kind: EventKind = "activated",
        after_generation: int = 0,
    ) -> ActiveVersion:
        """Make `version` the active one in one step.

        Raises ModelNotFound or ArtifactsUnavailable.
        """
        with self._exclusively(version):
            return self.active.replace(
                version,
                kind=kind,
                actor=actor,
                reason=reason,
                now=now,
                after_generation=after_generation,
            )

    @property
    def pins(self) -> PinFile:
        return PinFile(self.directory / PINS_FILE)

    def pin(self, version: str, pin: Pin) -> None:
        """Let `prune` never remove `version`.

        Raises ModelNotFound, ArtifactsUnavailable, or ArtifactCorrupt where the pins before it
        can't be read.
        """
        with self._exclusively(version):
            self.pins.replace({**self.pins.read(), version: pin})

    def unpin(self, version: str) -> bool:
        """The inverse of `pin`; False when it was not pinned. Raises the same."""
        with self._exclusively(version):
            pins = self.pins.read()
            if pins.pop(version, None) is None:
                # Whoever unpinned it may have failed before that was forced to disk.
                atomic_files.fsync_directory(self.directory)
                return False
            self.pins.replace(pins)
            return True

    def prune(
        self,
        *,
        keep_newest: int,
        audited: Callable[[str], bool],
        record: Callable[[str], None] | None,
    ) -> tuple[PruneDecision, ...]:
        """Remove the versions that nothing keeps (see `plan_prune`); returns what became of each.

        `record` is called right before each removal, and what it raises ends the pruning; None
        removes nothing. Raises ArtifactsUnavailable, and ArtifactCorrupt when `ACTIVE` or the
        pins can't be read: then nobody knows what must stay.
        """
        if not self.versions():
            return ()
        with self._exclusively():
            active = self.active.read()
            decisions = plan_prune(
                self.versions(),
                keep_newest=keep_newest,
                active=active.version if active else None,
                previous=active.previous_version if active else None,
                pinned=self.pins.read(),
                audited=audited,
            )
            for decision in decisions:
                if decision.kept_as is None and record is not None:
                    record(decision.version)
                    self._remove(decision.version)
            return decisions

    @contextmanager
    def _exclusively(self, version: str | None = None) -> Iterator[None]:
        """Change something, alone, with nothing in the way that a killed process left.

        Raises ModelNotFound when `version` is not there, also when it went just now.
        """
        if version is not None:
            self._folder(version)
        with (
            atomic_files.translated_os_errors(),
            atomic_files.file_lock(self.directory / ".lock"),
        ):
            clear_leftovers(self.directory)
            if version is not None:
                self._folder(version)
            yield

    def _publish(
        self, draft: Manifest, files: Mapping[str, bytes], staging: Path, fence: Callable[[], None]
    ) -> Manifest:
        staging.mkdir(mode=0o700)
        for name, content in files.items():
            atomic_files.create_file(staging / name, content)
        with self._exclusively():
            manifest = replace(
                draft,
                version=self._next_version(),
                files={name: sha256(content) for name, content in files.items()},
            )
            atomic_files.create_file(staging / MANIFEST_FILE, manifests.dump(manifest))
            atomic_files.fsync_directory(staging)
            fence()
            self._make_visible(staging, manifest.version)
        return manifest

    def _make_visible(self, staging: Path, version: str) -> None:
        """Make a version visible; one whose name can't be forced to disk is taken back."""
        published = staging.rename(self.directory / version)
        try:
            atomic_files.fsync_directory(self.directory)
        except OSError:
            published.rename(staging)
            raise

    def _remove(self, version: str) -> None:
        """Out of sight in one step, then off the disk: no reader sees a part of it."""
        hidden = (self.directory / version).rename(self.directory / f"{REMOVED}{version}")
        atomic_files.fsync_directory(self.directory)
        shutil.rmtree(hidden)

    def _next_version(self) -> str:
        versions = self.versions()
        return f"v{int(versions[-1][1:]) + 1 if versions else 1}"

    def _folder(self, version: str) -> Path:
        """The folder of a version that the registry's own listing holds."""
        if not VERSION.match(version) or version not in self.versions():
            raise ModelNotFound(version)
        return self.directory / version

    def _read(self, manifest: Manifest, name: str) -> bytes:
        return read_version_file(self.directory / manifest.version, manifest, name)
