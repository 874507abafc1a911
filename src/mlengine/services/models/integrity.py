"""Whether what was published is as it was published, from the files of the registry alone."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from mlengine.core.versions.layout import ACTIVE_FILE, PINS_FILE
from mlengine.errors import ArtifactCorrupt, DatabaseUnavailable
from mlengine.stores.registry.folders import staged_run_ids
from mlengine.stores.registry.registry import Registry
from mlengine.stores.runs.store import RunStore


@dataclass(frozen=True)
class IntegrityCheck:
    """Whether the files of a version are what was published."""

    version: str
    intact: bool
    reason: str | None


@dataclass(frozen=True)
class IntegrityReport:
    """`problems` are about the files beside the versions.

    `orphans` are half-written folders of runs that have ended; None when the runs can't be read.
    """

    versions: tuple[IntegrityCheck, ...]
    problems: tuple[str, ...] = ()
    orphans: tuple[str, ...] | None = ()

    @property
    def intact(self) -> bool:
        """Whether nothing is wrong; orphans are only in the way, and the worker clears them."""
        return not self.problems and all(check.intact for check in self.versions)


@dataclass(frozen=True)
class IntegrityVerifier:
    """Loads no model."""

    registry: Registry
    runs: RunStore

    def verify(self, version: str | None = None) -> IntegrityReport:
        """Check the digests of one version, or of all and what stands beside them.

        Raises ModelNotFound.
        """
        if version is not None:
            return IntegrityReport((self._check(version),))
        return IntegrityReport(
            tuple(map(self._check, self.registry.versions())),
            tuple(self._problems()),
            self._orphans(),
        )

    def _check(self, version: str) -> IntegrityCheck:
        try:
            self.registry.verify(version)
        except ArtifactCorrupt as corrupt:
            return IntegrityCheck(version, intact=False, reason=corrupt.reason)
        return IntegrityCheck(version, intact=True, reason=None)

    def _problems(self) -> Iterator[str]:
        published = frozenset(self.registry.versions())
        readers: dict[str, Callable[[], Iterable[str]]] = {
            ACTIVE_FILE: self._active_versions,
            PINS_FILE: self.registry.pins.read,
        }
        for name, read in readers.items():
            try:
                missing = sorted(set(read()) - published)
            except ArtifactCorrupt as corrupt:
                yield f"{corrupt.version} is damaged: {corrupt.reason}"
            else:
                yield from (f"{name} names {version}, which is not there" for version in missing)

    def _active_versions(self) -> list[str]:
        active = self.registry.active.read()
        return [active.version] if active else []

    def _orphans(self) -> tuple[str, ...] | None:
        half_written = staged_run_ids(
            self.registry.directory
        )  # first: a live run's row was there before
        try:
            return tuple(sorted(half_written - self.runs.unfinished_ids())) if half_written else ()
        except DatabaseUnavailable:
            return None
