"""The registry: immutable versions in folders, and `ACTIVE`, which names the one that serves.

A version becomes visible by one rename of a finished folder, and is never edited afterwards.
Numbers are given under a lock file, so that concurrent publishers get consecutive ones.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from mlengine.core import manifest as manifests
from mlengine.core.manifest import Manifest
from mlengine.errors import ArtifactCorrupt, ModelNotFound
from mlengine.stores import durable
from mlengine.stores.active import Active, ActiveFile
from mlengine.stores.versions import STAGING, VERSION, published

_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Registry:
    """The versions of one model line below `directory`."""

    directory: Path

    def versions(self) -> list[str]:
        """Published versions in numeric order."""
        return published(self.directory)

    def publish(
        self, draft: Manifest, files: Mapping[str, bytes], *, fence: Callable[[], None]
    ) -> Manifest:
        """Make `files` the next version; `fence` raises when the caller may no longer publish.

        Nothing is visible before the one rename at the end, and nothing is left behind by a
        failure that this process lives through.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        staging = self.directory / f"{STAGING}{draft.run_id}"
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        try:
            for name, content in files.items():
                durable.write_file(staging / name, content)
            with durable.exclusive(self._lock):
                manifest = replace(
                    draft,
                    version=self._next_version(),
                    files={name: _sha256(content) for name, content in files.items()},
                )
                durable.write_file(staging / _MANIFEST, manifests.dump(manifest))
                durable.fsync_directory(staging)
                fence()
                staging.rename(self.directory / manifest.version)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        durable.fsync_directory(self.directory)
        return manifest

    def manifest(self, version: str) -> Manifest:
        """The verified manifest; raises ModelNotFound or ArtifactCorrupt."""
        try:
            manifest = manifests.parse((self._folder(version) / _MANIFEST).read_bytes())
        except FileNotFoundError:
            raise ArtifactCorrupt(version, "manifest.json is missing") from None
        except (OSError, ValueError):
            raise ArtifactCorrupt(version, "manifest.json is not what was published") from None
        if manifest.version != version:
            raise ArtifactCorrupt(version, f"manifest.json is that of {manifest.version}")
        return manifest

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
        return ActiveFile(self.directory / "ACTIVE")

    def activate(
        self,
        version: str,
        *,
        actor: str,
        reason: str,
        now: datetime,
        kind: str = "activated",
        after_generation: int = 0,
    ) -> Active:
        """Make `version` the active one in one step; raises ModelNotFound."""
        self._folder(version)
        with durable.exclusive(self._lock):
            return self.active.replace(
                version,
                kind=kind,
                actor=actor,
                reason=reason,
                now=now,
                after_generation=after_generation,
            )

    @property
    def _lock(self) -> Path:
        return self.directory / ".lock"

    def _next_version(self) -> str:
        versions = self.versions()
        return f"v{int(versions[-1][1:]) + 1 if versions else 1}"

    def _folder(self, version: str) -> Path:
        """The folder of a version that the registry's own listing holds."""
        if not VERSION.match(version) or version not in self.versions():
            raise ModelNotFound(version)
        return self.directory / version

    def _read(self, manifest: Manifest, name: str) -> bytes:
        digest = manifest.files.get(name)
        if digest is None:
            raise ArtifactCorrupt(manifest.version, f"the manifest lists no {name}")
        try:
            content = (self.directory / manifest.version / name).read_bytes()
        except OSError:
            raise ArtifactCorrupt(manifest.version, f"{name} can't be read") from None
        if _sha256(content) != digest:
            raise ArtifactCorrupt(manifest.version, f"{name} differs from its digest")
        return content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
