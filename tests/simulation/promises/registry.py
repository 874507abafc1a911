"""No torn version: every listed one is whole, and `ACTIVE` and the pins name such."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from tests.simulation.promises.broken import BrokenPromise

from mlengine.stores.registry.registry import Registry

_VERSION = re.compile(r"v[1-9][0-9]*")


@dataclass(eq=False)
class PinChange:
    """A pin or an unpin that has begun and not ended."""

    version: str
    overlaps: bool = False


@dataclass(eq=False)
class RegistryPromise:
    """`published` has the digests of the manifests that a training has answered with."""

    directory: Path
    published: dict[str, str] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)
    pruned: set[str] = field(default_factory=set)
    activated: tuple[int, str] = (0, "")
    pins: dict[str, bool] = field(default_factory=dict)  # only what is known for sure
    prunings: int = 0  # how many began
    changing: list[PinChange] = field(default_factory=list)

    def publish(self, version: str) -> None:
        """The training has answered with the version."""
        digest = self._digests().get(version)
        if digest is None and not self.prunings:
            raise BrokenPromise(f"{version} was published and is not there")
        if digest is not None:
            self.published[version] = digest

    def activate(self, version: str, generation: int) -> None:
        """The activation has answered."""
        self.activated = max(self.activated, (generation, version))

    def begin_pinning(self, version: str) -> PinChange:
        """Nobody knows from now on, and of two at once not even at their ends."""
        self.pins.pop(version, None)
        change = PinChange(version)
        for other in self.changing:
            if other.version == version:
                other.overlaps = change.overlaps = True
        self.changing.append(change)
        return change

    def end_pinning(self, change: PinChange, *, pinned: bool | None) -> None:
        """It has answered, or with None failed or died."""
        self.changing.remove(change)
        if pinned is not None and not change.overlaps:
            self.pins[change.version] = pinned

    def cut_power(self) -> None:
        """Versions that no training has answered with may be gone, or come again."""
        self.seen = dict(self.published)
        self.pruned.clear()
        self.check()

    def check(self) -> None:
        if not self.directory.is_dir():
            if self.published:
                raise BrokenPromise("the folder of the versions is gone")
            return
        digests = self._digests()
        pinned = self._pinned()
        active = self._active(digests)
        self._check_numbers(digests)
        for version, digest in list(self.published.items()):
            if version not in digests:
                self._check_pruned(version, pinned, active)
                self.pruned.add(version)
                del self.published[version]
            elif digests[version] != digest:
                raise BrokenPromise(f"{version} is not what was published")

    def check_at_rest(self) -> None:
        """The product agrees."""
        self.check()
        registry = Registry(self.directory)
        for version in registry.versions():
            registry.verify(version)
        registry.active.read()
        registry.pins.read()

    def _check_numbers(self, digests: dict[str, str]) -> None:
        """A number has one version; but one that was never answered with may be taken back."""
        for version in self.seen.keys() - digests.keys() - self.published.keys():
            del self.seen[version]
        for version, digest in digests.items():
            if self.seen.setdefault(version, digest) != digest or version in self.pruned:
                raise BrokenPromise(f"{version} is another version than before")

    def _check_pruned(self, version: str, pinned: set[str], active: str | None) -> None:
        if not self.prunings:
            raise BrokenPromise(f"the published {version} is gone, and nobody pruned")
        if version in pinned or version == active or self.pins.get(version):
            raise BrokenPromise(f"{version} was pruned, and it is pinned or active")

    def _active(self, digests: dict[str, str]) -> str | None:
        path = self.directory / "ACTIVE"
        if not path.exists():
            if self.activated[0]:
                raise BrokenPromise("ACTIVE is gone")
            return None
        content = _parsed(path)
        version, generation = str(content["version"]), int(str(content["generation"]))
        if version not in digests:
            raise BrokenPromise(f"ACTIVE names {version}, which is not there")
        if (generation, version) < self.activated or (
            generation == self.activated[0] and version != self.activated[1]
        ):
            raise BrokenPromise(
                f"ACTIVE names {version} ({generation}) after {self.activated} was activated"
            )
        return version

    def _pinned(self) -> set[str]:
        path = self.directory / "PINNED.json"
        pinned = set(_parsed(path)) if path.exists() else set()
        for version, is_pinned in self.pins.items():
            if is_pinned != (version in pinned):
                raise BrokenPromise(f"the pin of {version} is {version in pinned}: lost update")
        return pinned

    def _digests(self) -> dict[str, str]:
        """The digest of each listed version's manifest, once its files were checked by it."""
        if not self.directory.is_dir():
            return {}
        folders = [path for path in self.directory.iterdir() if _VERSION.fullmatch(path.name)]
        return {folder.name: _whole(folder) for folder in folders}


def _whole(folder: Path) -> str:
    manifest = folder / "manifest.json"
    content = _parsed(manifest)
    files = content.get("files")
    if content.get("version") != folder.name or not isinstance(files, dict) or not files:
        raise BrokenPromise(f"the manifest of {folder.name} is that of another version")
    for name, digest in files.items():
        path = folder / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise BrokenPromise(f"{folder.name} is torn: {name} is not what was published")
    return hashlib.sha256(manifest.read_bytes()).hexdigest()


def _parsed(path: Path) -> dict[str, object]:
    try:
        content: dict[str, object] = json.loads(path.read_bytes())
    except (OSError, ValueError):
        raise BrokenPromise(f"{path.parent.name}/{path.name} is torn") from None
    return content
