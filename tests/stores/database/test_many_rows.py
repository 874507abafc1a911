from __future__ import annotations

from pathlib import Path

from sqlalchemy import Column, Integer, MetaData, Table, Text, event, insert, select
from tests.databases import new_database, opened

from mlengine.stores.database.engine import insert_or_ignore, reading, writing
from mlengine.stores.database.many_rows import execute_many

NOTES = Table(
    "notes", MetaData(), Column("id", Integer, primary_key=True), Column("text", Text, unique=True)
)


def test_many_rows_are_written_in_their_order_by_few_statements(tmp_path: Path) -> None:
    """Each gives the interpreter's lock away, and nobody else can write until it is back."""
    statements: list[str] = []
    with opened(new_database(tmp_path / "a.db")) as engine:
        NOTES.create(engine)
        event.listen(
            engine, "before_cursor_execute", lambda _c, _k, sql, *_: statements.append(sql)
        )
        with writing(engine) as connection:
            rows = [(f"note {n}",) for n in range(1_000)]
            assert execute_many(connection, insert(NOTES), ("text",), rows) == 1_000
        inserts = [sql for sql in statements if sql.startswith("INSERT")]
        assert len(inserts) <= 16
        with reading(engine) as connection:
            stored = connection.scalars(select(NOTES.c.text).order_by(NOTES.c.id)).all()
    assert stored == [text for (text,) in rows]


def test_rows_that_are_there_are_left_alone_and_not_counted(tmp_path: Path) -> None:
    with opened(new_database(tmp_path / "a.db")) as engine:
        NOTES.create(engine)
        with writing(engine) as connection:
            statement = insert_or_ignore(connection, NOTES)
            first = [(f"note {n}",) for n in range(0, 150, 2)]
            rows = [(f"note {n}",) for n in range(150)]
            assert execute_many(connection, statement, ("text",), first) == 75
            assert execute_many(connection, statement, ("text",), rows) == 75
            assert execute_many(connection, statement, ("text",), []) == 0
