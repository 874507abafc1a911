"""Which model lines there are, as a process knows them from one second to the next."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic

from mlengine.core.lines.line import ModelLine
from mlengine.errors import DatabaseUnavailable, LineNotFound, LineRetired
from mlengine.stores.lines.store import LineStore

_SECONDS = 1.0


@dataclass
class LineDirectory:
    """Safe for threads. While the database can't be read, what was known goes on."""

    store: LineStore
    timer: Callable[[], float] = monotonic
    _known: Mapping[str, ModelLine] | None = field(default=None, init=False)
    _read_at: float = field(default=0.0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def find(self, name: str) -> ModelLine:
        """The line of that name; raises LineNotFound, also for `main`, or DatabaseUnavailable."""
        line = self._lines().get(name)
        if line is None:
            raise LineNotFound(name)
        return line

    def find_active(self, name: str) -> ModelLine:
        """As `find`; raises LineRetired for a line that serves and trains no more."""
        line = self.find(name)
        if line.is_retired:
            raise LineRetired(name)
        return line

    def at_hand(self, name: str) -> ModelLine | None:
        """An active line, if it is known without reading anything."""
        known = self._known
        if known is None or self.timer() - self._read_at >= _SECONDS:
            return None
        line = known.get(name)
        return line if line is not None and not line.is_retired else None

    def active(self) -> tuple[ModelLine, ...]:
        """The lines beside `main` that serve and train; raises DatabaseUnavailable."""
        return tuple(line for line in self._lines().values() if not line.is_retired)

    def retired(self) -> tuple[ModelLine, ...]:
        """The lines that serve and train no more; raises DatabaseUnavailable."""
        return tuple(line for line in self._lines().values() if line.is_retired)

    def is_known_as_retired(self, name: str) -> bool:
        """By what was read last, however long ago that is."""
        line = (self._known or {}).get(name)
        return line is not None and line.is_retired

    def forget(self) -> None:
        """Look anew at the next question."""
        self._known = None

    def _lines(self) -> Mapping[str, ModelLine]:
        with self._lock:
            known = self._known
            if known is not None and self.timer() - self._read_at < _SECONDS:
                return known
            try:
                found = {line.name: line for line in self.store.read_all()}
            except DatabaseUnavailable:
                if known is None:
                    raise
                found = dict(known)
            self._known, self._read_at = found, self.timer()
            return found
