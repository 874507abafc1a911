"""Who of a line's symbols is scored at a bar."""

import logging
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from mlengine.core.versions.layout import UNIVERSE_FILE
from mlengine.errors import TrainingFailed
from mlengine.stores.bars.universe import Universe, parse_universe, read_universe
from mlengine.stores.registry.registry import Registry

log = logging.getLogger(__name__)

_Stamp = tuple[int, int, int]


@dataclass
class ScoredUniverse:
    """The members of the universe file as it is now; all where there is no `path`.

    One that can't be read is warned of. Then what it said last counts, or what the version that
    serves was trained by.
    """

    path: Path | None
    registry: Registry
    symbol_of: Callable[[str], str]
    _stamp: _Stamp | None = field(default=None, init=False)
    _universe: Universe | None = field(default=None, init=False)
    _members: dict[date, Set[str]] = field(default_factory=dict, init=False)

    def members_on(self, day: date) -> Set[str] | None:
        """By symbol; None where everybody is one. Raises ModelNotFound or ArtifactCorrupt."""
        if self.path is None:
            return None
        stamp = _stamp_of(self.path)
        if self._universe is None or stamp != self._stamp:
            self._stamp = stamp
            self._universe = self._read(self.path) or self._universe or self._trained()
            self._members = {}
        if self._universe is None:
            return None
        if day not in self._members:
            self._members = {day: self._universe.members_on(day)}
        return self._members[day]

    def _read(self, path: Path) -> Universe | None:
        try:
            return read_universe(path).with_symbols(self.symbol_of)
        except TrainingFailed as error:
            log.warning("universe file not read", extra={"reason": error.reason})
            return None

    def _trained(self) -> Universe | None:
        active = self.registry.active.read_or_none()
        if active is None or UNIVERSE_FILE not in self.registry.manifest(active.version).files:
            return None
        content = self.registry.read(active.version, UNIVERSE_FILE)
        return parse_universe(content, name=UNIVERSE_FILE)


def _stamp_of(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
