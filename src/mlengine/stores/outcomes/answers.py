"""The answers of the audit that have an outcome."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, func, select

from mlengine.stores.database.engine import insert_or_ignore, reading
from mlengine.stores.database.tables import feature_vectors, monitoring_positions, predictions

_STEP = "outcomes"
_OURS = monitoring_positions.c.step == _STEP
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
    """Reads the audit on from where outcomes have taken it in; raises DatabaseUnavailable."""

    engine: Engine

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
            .where(row.seq > position, row.ok, ~row.in_sample)
            .order_by(row.seq)
            .limit(limit)
        )
        with reading(self.engine) as connection:
            newest = connection.scalar(select(func.max(row.seq))) or 0
            rows = [Answer(*each) for each in connection.execute(query)]
        return rows, rows[-1].seq if len(rows) == limit else max(newest, position)

    def position(self) -> int:
        """From which row on to read; some were read before, where others may have come since."""
        with reading(self.engine) as connection:
            position = connection.scalar(select(monitoring_positions.c.prediction_seq).where(_OURS))
            overlap = 0 if connection.dialect.name == "sqlite" else _OVERLAP_ROWS
        return max((position or 0) - overlap, 0)


def move_position(connection: Connection, position: int) -> None:
    """Note in a transaction of the caller's that all rows up to that one are taken in."""
    table = monitoring_positions
    moved = table.update().where(_OURS, table.c.prediction_seq < position)
    if connection.execute(moved.values(prediction_seq=position)).rowcount == 0:
        row = {"step": _STEP, "prediction_seq": position}
        connection.execute(insert_or_ignore(connection, table).values(row))
