"""No lost row: what an append has answered is in the tables or in the spool, once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from tests.simulation.database import Database
from tests.simulation.promises.broken import BrokenPromise
from tests.simulation.write_ahead_log import Position

from mlengine.stores.audit.entries import COLUMNS, AuditEntry, entry_tuple
from mlengine.stores.audit.rows import stored_values

_ROWS = (
    f"SELECT {', '.join(f'p.{name}' for name in COLUMNS)}, v.payload, w.payload "  # noqa: S608
    "FROM predictions p LEFT JOIN feature_vectors v ON v.id = p.vector_id "
    "LEFT JOIN bar_windows w ON w.bars_hash = v.bars_hash ORDER BY p.seq"
)


@dataclass(eq=False)
class AuditPromise:
    """`answered` has how far the database must survive for a row to do so; None: in any case."""

    database: Database
    spool: Path
    asked: dict[str, AuditEntry] = field(default_factory=dict)
    together: list[tuple[str, ...]] = field(default_factory=list)
    answered: dict[str, Position | None] = field(default_factory=dict)
    clearing: int = 0
    cleared: set[str] = field(default_factory=set)

    def ask(self, entries: Sequence[AuditEntry], ids: Sequence[str]) -> None:
        self.asked.update(zip(ids, entries, strict=True))
        self.together.append(tuple(ids))

    def answer(self, ids: Sequence[str]) -> None:
        """The append has returned."""
        stored, spooled = self._stored(), self._spooled()
        position = self.database.log.position()
        for each in ids:
            if self.clearing or each in self.cleared:
                continue
            if each not in stored and each not in spooled:
                raise BrokenPromise(f"the answered row {each} is neither stored nor spooled")
            self.answered[each] = None if each in spooled else position

    def begin_clear(self) -> None:
        """What was answered so far may go."""
        self.clearing += 1
        self.answered.clear()
        self.together.clear()

    def end_clear(self) -> None:
        """Also what was asked for by now, and is not answered yet."""
        self.clearing -= 1
        self.cleared.update(self.asked)

    def cut_power(self, survived: Position) -> None:
        """Commits after that are gone, and so are rows that only they had."""
        for each, position in list(self.answered.items()):
            if position is not None and position > survived:
                del self.answered[each]
        self.check()

    def check(self) -> None:
        stored, spooled = self._stored(), self._spooled()
        if len(stored) > len(set(stored)):
            raise BrokenPromise("a row is stored twice")
        there = {*stored, *spooled}
        lost = self.answered.keys() - there
        if lost:
            raise BrokenPromise(f"answered rows are lost: {sorted(lost)}")
        if unknown := there - self.asked.keys():
            raise BrokenPromise(f"rows of nobody: {sorted(unknown)}")

    def check_at_rest(self) -> None:
        """Nothing waits any more, and every row is what was asked for, to the last bit."""
        self.check()
        if self.spool.exists():
            names = sorted(path.name for path in self.spool.iterdir())
            raise BrokenPromise(f"the spool is not empty: {names}")
        stored = set(self._stored())
        for ids in self.together:
            if 0 < len(stored.intersection(ids)) < len(ids):
                raise BrokenPromise(f"a batch is stored in part: {ids}")
        for row in self.database.look(_ROWS):
            self._compare(row)

    def _compare(self, row: tuple[object, ...]) -> None:
        *values, vector, window = row
        entry = self.asked[str(values[COLUMNS.index("prediction_id")])]
        expected = stored_values(entry_tuple(entry))
        if values != expected:
            raise BrokenPromise(f"a row differs from what was asked for: {values}")
        scored = entry.scored
        if vector != (scored.payload if scored else None):
            raise BrokenPromise(f"the vector of a row is another one: {values}")
        if scored and window is None:
            raise BrokenPromise(f"the window of a row is gone: {values}")

    def _stored(self) -> list[str]:
        return [row[0] for row in self.database.look("SELECT prediction_id FROM predictions")]

    def _spooled(self) -> set[str]:
        """Those in whole lines; a torn one belongs to an answer that was never given."""
        ids: set[str] = set()
        if not self.spool.is_dir():
            return ids
        for path in self.spool.iterdir():
            for line in path.read_bytes().split(b"\n")[:-1]:
                ids.update(row["columns"]["prediction_id"] for row in _parsed(line))
        return ids


def _parsed(line: bytes) -> list[dict[str, dict[str, str]]]:
    try:
        rows: list[dict[str, dict[str, str]]] = orjson.loads(line)
    except ValueError:
        raise BrokenPromise("a line of the spool is damaged") from None
    return rows
