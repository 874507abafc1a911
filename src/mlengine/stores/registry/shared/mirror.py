"""The host's folder of a shared registry: what the bucket holds, as a registry of one host has it.

Names, manifests, `ACTIVE` and pins come with each look; the files of a version are fetched when
they are first read. What is there goes on serving while the bucket can't be reached.
"""

import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlengine.core.versions.layout import ACTIVE_FILE, MANIFEST_FILE, PINS_FILE
from mlengine.stores.registry.folders import REMOVED, VERSION, clear_leftovers, published_versions
from mlengine.stores.registry.shared.bucket import Bucket, StoredObject
from mlengine.stores.system import atomic_files

_VERSIONS, _SUFFIX = "versions/", ".json"


def manifest_key(version: str) -> str:
    """The object whose creation publishes a version."""
    return f"{_VERSIONS}{version}{_SUFFIX}"


def file_key(run_id: str, name: str) -> str:
    """A file of the version that the run made."""
    return f"runs/{run_id}/{name}"


@dataclass(frozen=True)
class RegistryMirror:
    bucket: Bucket
    directory: Path

    def update(self) -> None:
        """Let the folder say what the bucket says.

        Raises RegistryUnavailable, and ArtifactsUnavailable where the folder can't be written.
        """
        with self._exclusively():
            active, pins = (self.bucket.look(name) for name in (ACTIVE_FILE, PINS_FILE))
            published = self.published()  # after `ACTIVE`, so that what it names is among them
            there = published_versions(self.directory)
            for version in published:
                if version not in there:
                    self._add(version)
            self._replace(ACTIVE_FILE, active)
            self._replace(PINS_FILE, pins)
            for version in there:
                if version not in published:
                    self._remove(version)

    def update_active(self) -> None:
        """The same where `ACTIVE` is another one, at the cost of one small request if not."""
        active = self.bucket.look(ACTIVE_FILE)
        if not self._holds(ACTIVE_FILE, active):
            self.update()

    def published(self) -> list[str]:
        """The versions in the bucket, in numeric order."""
        names = (key.removesuffix(_SUFFIX) for key in self.bucket.keys(_VERSIONS))
        return sorted(filter(VERSION.match, names), key=lambda version: int(version[1:]))

    def add(self, version: str, manifest: bytes, files: Mapping[str, bytes]) -> None:
        """A version that was just published, with its files."""
        with self._exclusively():
            if version not in published_versions(self.directory):
                self._make_visible(version, {**files, MANIFEST_FILE: manifest})

    def fetch(self, version: str, run_id: str, name: str) -> None:
        """Bring a file of a version, if the bucket has it; raises as `update`."""
        stored = self.bucket.get(file_key(run_id, name))
        with atomic_files.translated_os_errors():
            if stored is not None:
                atomic_files.replace_file(self.directory / version / name, stored.content)

    def _add(self, version: str) -> None:
        stored = self.bucket.get(manifest_key(version))
        if stored is not None:
            self._make_visible(version, {MANIFEST_FILE: stored.content})

    def _make_visible(self, version: str, files: Mapping[str, bytes]) -> None:
        aside = self.directory / f"{REMOVED}{secrets.token_hex(8)}"
        aside.mkdir(mode=0o700)
        for name, content in files.items():
            atomic_files.create_file(aside / name, content)
        aside.rename(self.directory / version)
        atomic_files.fsync_directory(self.directory)

    def _holds(self, name: str, stored: StoredObject | None) -> bool:
        try:
            content = (self.directory / name).read_bytes()
        except FileNotFoundError:
            return stored is None
        except OSError:
            return False
        return stored is not None and content == stored.content

    def _replace(self, name: str, stored: StoredObject | None) -> None:
        if self._holds(name, stored):
            return
        if stored is None:
            (self.directory / name).unlink(missing_ok=True)
        else:
            atomic_files.replace_file(self.directory / name, stored.content)

    def _remove(self, version: str) -> None:
        hidden = (self.directory / version).rename(self.directory / f"{REMOVED}{version}")
        atomic_files.fsync_directory(self.directory)
        shutil.rmtree(hidden, ignore_errors=True)

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        with atomic_files.translated_os_errors():
            atomic_files.make_directory(self.directory)
            with atomic_files.file_lock(self.directory / ".lock"):
                clear_leftovers(self.directory)
                yield
