"""The answers of the audit that have an outcome."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, func, select

from mlengine.core.line_names import MODEL_LINE, key_prefix, split_version_key
from mlengine.stores.database.archive.reading import archived_rows, merged
from mlengine.stores.database.archive.selection import Selection
from mlengine.stores.database.engine import insert_or_ignore, reading
from mlengine.stores.database.tables import feature_vectors, monitoring_positions, predictions
from mlengine.stores.database.version_keys import is_of_line

# Of a server with several writers: a row may be seen later than one with a higher number.
_OVERLAP_ROWS = 5_000


@dataclass(frozen=True)
class Answer:
    """A prediction of a bar that its model had not seen."""

    seq: int
    prediction_id: str
    model_version: str
    symbol: str
    interval: str
    bar_timestamp: datetime
    asked_at: datetime
    score: float
    vector_id: int


@dataclass(frozen=True)
class AnswerReader:
    """Reads the audit on from where outcomes of a line have taken it in.

    Every method raises DatabaseUnavailable.
    """

    engine: Engine
    line: str = MODEL_LINE

    def read_after(self, position: int, *, limit: int) -> tuple[list[Answer], int]:
        """At most `limit` answers after that row, oldest first, and the row that was reached."""
        row, vector = predictions.c, feature_vectors.c
        score = func.coalesce(row.probability_up, row.expected_return, row.expected_score)
        columns = (
            *(row.seq, row.prediction_id, row.model_version, row.symbol, vector.interval),
            *(vector.bar_timestamp, row.at, score, row.vector_id),
        )
        query = (
            select(*columns)
            .join(feature_vectors, row.vector_id == vector.id)
            .where(
                row.seq > position,
                row.ok,
                ~row.in_sample,
                is_of_line(row.model_version, self.line),
            )
            .order_by(row.seq)
            .limit(limit)
        )
        with reading(self.engine) as connection:
            newest = connection.scalar(select(func.max(row.seq))) or 0
            found: Sequence[Any] = connection.execute(query).all()
        meant = Selection(
            among={"ok": [True], "in_sample": [False]},
            spans={"seq": (position + 1, found[-1].seq if len(found) == limit else None)},
            prefix=key_prefix(self.line),
            oldest=limit,
        )
        if archived := archived_rows(self.engine, query, meant):
            found = merged(found, archived)[:limit]
            newest = max(newest, found[-1].seq)
        rows = [_answer(Answer(*each)) for each in found]
        return rows, rows[-1].seq if len(rows) == limit else max(newest, position)

    def has_read(self, *, through: datetime) -> bool:
        """Whether all rows were taken in that were written by then; later ones show that."""
        row, table = predictions.c, monitoring_positions.c
        later = select(row.seq).where(row.at > through).order_by(row.at).limit(1)
        position = select(table.prediction_seq).where(table.step == _step(self.line))
        with reading(self.engine) as connection:
            first, reached = connection.scalar(later), connection.scalar(position)
        return first is not None and reached is not None and reached >= first

    def position(self) -> int:
        """From which row on to read; some were read before, where others may have come since."""
        with reading(self.engine) as connection:
            table = monitoring_positions.c
            query = select(table.prediction_seq).where(table.step == _step(self.line))
            position = connection.scalar(query)
            overlap = 0 if connection.dialect.name == "sqlite" else _OVERLAP_ROWS
        return max((position or 0) - overlap, 0)


def move_position(connection: Connection, position: int, line: str) -> None:
    """Note in a transaction of the caller's that all rows up to that one are taken in."""
    table, step = monitoring_positions, _step(line)
    moved = table.update().where(table.c.step == step, table.c.prediction_seq < position)
    if connection.execute(moved.values(prediction_seq=position)).rowcount == 0:
        row = {"step": step, "prediction_seq": position}
        connection.execute(insert_or_ignore(connection, table).values(row))


def _step(line: str) -> str:
    return f"{key_prefix(line)}outcomes"


def _answer(answer: Answer) -> Answer:
    """With the version in place of its key."""
    return replace(answer, model_version=split_version_key(answer.model_version)[1])
