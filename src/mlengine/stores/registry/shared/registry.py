"""The registry of several hosts: the bucket decides, a folder of each host mirrors it.

Files of a run are written first. Creating `versions/vN.json` then publishes them, and of any number
of hosts one creates it. `ACTIVE` and the pins are replaced only where nobody did since they were
read. So no host needs a lock of another, and a host that dies leaves nothing torn.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from secrets import token_hex
from typing import ClassVar

from mlengine.core.monitoring.event import EventKind
from mlengine.core.versions import manifest as manifests
from mlengine.core.versions.layout import ACTIVE_FILE, IDENTITY_FILE, PINS_FILE
from mlengine.core.versions.manifest import Manifest
from mlengine.core.versions.pruning import Pin, PruneDecision, plan_prune
from mlengine.errors import (
    ArtifactCorrupt,
    ArtifactsUnavailable,
    MlengineError,
    ModelNotFound,
    RegistryUnavailable,
)
from mlengine.stores.registry import active as active_file
from mlengine.stores.registry import pins as pin_file
from mlengine.stores.registry.active import ActiveVersion
from mlengine.stores.registry.registry import Registry
from mlengine.stores.registry.shared.bucket import Bucket, StoredObject, change
from mlengine.stores.registry.shared.mirror import RegistryMirror, file_key, manifest_key
from mlengine.stores.registry.version_files import read_version_file, sha256


@dataclass(frozen=True)
class SharedRegistry(Registry):
    """As Registry; whatever changes something raises RegistryUnavailable, too."""

    bucket: Bucket
    is_shared: ClassVar[bool] = True

    def refresh(self, *, active_only: bool = False) -> None:
        """Raises RegistryUnavailable, or ArtifactsUnavailable where the folder can't be written."""
        if active_only:
            self.mirror.update_active()
        else:
            self.mirror.update()

    def identity(self) -> str:
        """As Registry's; raises CannotStart where the store ignores conditional writes."""
        self.bucket.require_conditional_writes()
        self.bucket.create(IDENTITY_FILE, token_hex(6).encode())
        stored = self.bucket.get(IDENTITY_FILE)
        if stored is None:
            raise RegistryUnavailable("it forgets what was written")
        return stored.content.decode()

    @property
    def mirror(self) -> RegistryMirror:
        return RegistryMirror(self.bucket, self.directory)

    def publish(
        self, draft: Manifest, files: Mapping[str, bytes], *, fence: Callable[[], None]
    ) -> Manifest:
        """As Registry's; what a run that failed wrote is removed, unless it may be published."""
        digests = {name: sha256(content) for name, content in files.items()}
        with self._removed_on_failure(draft.run_id):
            for name, content in files.items():
                self.bucket.put(file_key(draft.run_id, name), content)
        while True:
            with self._removed_on_failure(draft.run_id):
                newest = (self.mirror.published() or ["v0"])[-1]
                manifest = replace(draft, version=f"v{int(newest[1:]) + 1}", files=digests)
                content = manifests.dump(manifest)
                fence()
            if self.bucket.create(manifest_key(manifest.version), content):
                break
        with suppress(ArtifactsUnavailable):  # it is published; the next look brings it
            self.mirror.add(manifest.version, content, files)
        return manifest

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
        """As Registry's, on all hosts.

        A version that was pruned meanwhile is not left active by both: `prune` looks again.
        """
        named: list[ActiveVersion] = []

        def following(before: StoredObject | None) -> bytes:
            if self.bucket.get(manifest_key(version)) is None:
                raise ModelNotFound(version)
            active = active_file.following(
                active_file.parse_or_none(before.content) if before else None,
                version,
                kind=kind,
                actor=actor,
                reason=reason,
                now=now,
                after_generation=after_generation,
            )
            named[:] = [active]
            return active_file.dump(active)

        change(self.bucket, ACTIVE_FILE, following)
        self.mirror.update()
        return named[0]

    def pin(self, version: str, pin: Pin) -> None:
        """As Registry's, on all hosts."""
        self._change_pins(version, lambda pins: {**pins, version: pin})

    def unpin(self, version: str) -> bool:
        """As Registry's, on all hosts."""
        found: list[bool] = []

        def without(pins: Mapping[str, Pin]) -> Mapping[str, Pin]:
            found[:] = [version in pins]
            return {name: pin for name, pin in pins.items() if name != version}

        self._change_pins(version, without)
        return found[0]

    def prune(
        self,
        *,
        keep_newest: int,
        audited: Callable[[str], bool],
        record: Callable[[str], None] | None,
    ) -> tuple[PruneDecision, ...]:
        """As Registry's; a version that another host activates meanwhile comes back."""
        self.mirror.update()
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
                self._withdraw(decision.version)
        self.mirror.update()
        return decisions

    def _withdraw(self, version: str) -> None:
        key = manifest_key(version)
        stored = self.bucket.get(key)
        if stored is None:
            return
        self.bucket.delete([key])
        active = self.bucket.get(ACTIVE_FILE)
        named = active_file.parse_or_none(active.content) if active else None
        if named and version in (named.version, named.previous_version):
            self.bucket.create(key, stored.content)
            return
        self._remove_files(manifests.parse(stored.content).run_id)

    @contextmanager
    def _removed_on_failure(self, run_id: str) -> Iterator[None]:
        """What the run wrote is removed where the block fails: nothing of it is published yet."""
        failed = True
        try:
            yield
            failed = False
        finally:
            if failed:
                with suppress(MlengineError):
                    self._remove_files(run_id)

    def _remove_files(self, run_id: str) -> None:
        prefix = file_key(run_id, "")
        self.bucket.delete([f"{prefix}{name}" for name in self.bucket.keys(prefix)])

    def _change_pins(
        self, version: str, to: Callable[[Mapping[str, Pin]], Mapping[str, Pin]]
    ) -> None:
        if self.bucket.get(manifest_key(version)) is None:
            raise ModelNotFound(version)

        def following(before: StoredObject | None) -> bytes:
            return pin_file.dump(to(pin_file.parse(before.content) if before else {}))

        change(self.bucket, PINS_FILE, following)
        self.mirror.update()

    def _read(self, manifest: Manifest, name: str) -> bytes:
        """From the folder, which gets what it has not, or has damaged."""
        folder = self.directory / manifest.version
        with suppress(ArtifactCorrupt):
            return read_version_file(folder, manifest, name)
        if name in manifest.files:
            self.mirror.fetch(manifest.version, manifest.run_id, name)
        return read_version_file(folder, manifest, name)
