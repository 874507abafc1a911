"""The model lines beside `main`: their definitions, and who changed them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import orjson
from sqlalchemy import Connection, Engine, Row, insert, select, update

from mlengine.core.lines.line import LineDefinition, ModelLine
from mlengine.core.monitoring.event import Event, EventKind
from mlengine.errors import DamagedRow, LineNotFound
from mlengine.stores.database.engine import lock_tables, parse_column, reading, writing
from mlengine.stores.database.events import insert_event
from mlengine.stores.database.pages import require_declared_types
from mlengine.stores.database.tables import lines

Change = Literal["created", "changed", "unchanged"]


@dataclass(frozen=True)
class LineStore:
    """The table `lines`; every method raises DatabaseUnavailable when it can't be used."""

    engine: Engine

    def read_all(self) -> tuple[ModelLine, ...]:
        """All lines by name, the retired ones too."""
        with reading(self.engine) as connection:
            rows = connection.execute(select(lines).order_by(lines.c.name)).all()
        return tuple(map(_line, rows))

    def save(
        self,
        name: str,
        definition: LineDefinition,
        *,
        actor: str,
        now: datetime,
        file_sha256: str | None = None,
        within: Callable[[Connection, ModelLine], None] = lambda *_: None,
    ) -> tuple[ModelLine, Change]:
        """Create a line, or give it another definition; a retired one is active again.

        With the digest of the file that it comes from, a line that was taken from a file of this
        digest before stays as it is, whatever was changed since. What is done `within` the
        transaction of a change holds with it, or neither does.
        """
        with writing(self.engine) as connection:
            lock_tables(connection, lines)  # hosts that start at once take in the same files
            before = _read(connection, name)
            line = _following(before, name, definition, actor, now, file_sha256)
            if before == line:
                return line, "unchanged"
            values = _values(line)
            if before is None:
                connection.execute(insert(lines).values(values))
            else:
                connection.execute(update(lines).where(lines.c.name == name).values(values))
            created = before is None
            _record(connection, "line_created" if created else "line_changed", line)
            within(connection, line)
        return line, "created" if created else "changed"

    def retire(self, name: str, *, actor: str, now: datetime) -> ModelLine:
        """Let a line serve and train no more; raises LineNotFound."""
        with writing(self.engine) as connection:
            lock_tables(connection, lines)
            before = _read(connection, name)
            if before is None:
                raise LineNotFound(name)
            if before.is_retired:
                return before
            line = replace(
                before,
                state="retired",
                revision=before.revision + 1,
                changed_at=now,
                actor=actor,
            )
            connection.execute(update(lines).where(lines.c.name == name).values(_values(line)))
            _record(connection, "line_retired", line)
        return line


def _following(
    before: ModelLine | None,
    name: str,
    definition: LineDefinition,
    actor: str,
    now: datetime,
    file_sha256: str | None,
) -> ModelLine:
    """What the line is from now on; `before` where nothing is to change."""
    if before is None:
        return ModelLine(
            name=name,
            state="active",
            revision=1,
            definition=definition,
            created_at=now,
            changed_at=now,
            actor=actor,
            file_sha256=file_sha256,
        )
    if file_sha256 is not None and file_sha256 == before.file_sha256:
        return before
    if file_sha256 is None and not before.is_retired and definition == before.definition:
        return before
    return replace(
        before,
        state="active",
        revision=before.revision + 1,
        definition=definition,
        changed_at=now,
        actor=actor,
        file_sha256=file_sha256 or before.file_sha256,
    )


def _read(connection: Connection, name: str) -> ModelLine | None:
    row = connection.execute(select(lines).where(lines.c.name == name)).first()
    return None if row is None else _line(row)


def _record(connection: Connection, kind: EventKind, line: ModelLine) -> None:
    details = {"revision": line.revision, "definition": line.definition.to_dict()}
    event = Event(
        kind=kind,
        at=line.changed_at,
        version=None,
        actor=line.actor,
        details=details,
        model=line.name,
    )
    insert_event(connection, event)


def _values(line: ModelLine) -> dict[str, object]:
    return {**vars(line), "definition": orjson.dumps(line.definition.to_dict()).decode()}


def _line(row: Row[Any]) -> ModelLine:
    """Raises DamagedRow."""
    try:
        definition = LineDefinition.from_dict(parse_column(row.definition))
    except (AttributeError, ValueError):
        raise DamagedRow from None
    return require_declared_types(ModelLine(**{**row._mapping, "definition": definition}))
