"""Queries of the tables, run on archived predictions: in tables of their own, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, Row, Select, StaticPool, Table, create_engine

from mlengine.errors import DamagedRow
from mlengine.stores.database.archive.files import ArchiveFile, archive_of
from mlengine.stores.database.archive.selection import Selection
from mlengine.stores.database.tables import bar_windows, feature_vectors, metadata, predictions

if TYPE_CHECKING:
    import polars as pl

_TABLES = (bar_windows, feature_vectors, predictions)


def archived_rows(engine: Engine, query: Select[Any], selection: Selection) -> Sequence[Row[Any]]:
    """What a query of the tables finds among the archived predictions of `selection`.

    Nothing where the engine has no archive. Raises DatabaseUnavailable, and DamagedRow where a file
    can't be read.
    """
    files = counting_files(engine)
    if not files:
        return ()
    import polars as pl  # noqa: PLC0415 - where there is an archive

    from mlengine.stores.database.archive import frames  # noqa: PLC0415 - Polars

    try:
        found = frames.selected(files, selection)
        copied = frames.windows(files, found["bars_hash"].drop_nulls().unique().to_list())
    except (OSError, pl.exceptions.PolarsError):
        raise DamagedRow from None
    if found.is_empty():
        return ()
    scratch = create_engine("sqlite://", poolclass=StaticPool)
    try:
        with closing(scratch.connect()) as connection:
            metadata.create_all(connection, _TABLES)
            _fill(connection, found, copied)
            return connection.execute(query).all()
    finally:
        scratch.dispose()


def merged(*found: Sequence[Any]) -> list[Any]:
    """Rows of the table and of the archive by number; one that moved between two looks once."""
    by_seq = {row.seq: row for rows in found for row in rows}
    return [by_seq[seq] for seq in sorted(by_seq)]


def counting_files(engine: Engine) -> list[ArchiveFile]:
    """The files of the engine's archive, if it has one; raises DatabaseUnavailable."""
    archive = archive_of(engine)
    return [] if archive is None else archive.counting(engine)


def _fill(connection: Connection, found: pl.DataFrame, copied: pl.DataFrame) -> None:
    from mlengine.stores.database.archive.frames import vector_hash  # noqa: PLC0415 - Polars

    _insert(connection, bar_windows, copied.to_dicts())
    vectors = found.filter(found["vector_id"].is_not_null()).unique("vector_id").to_dicts()
    for vector in vectors:
        vector |= {"id": vector["vector_id"], "vector_hash": vector_hash(vector["payload"])}
    _insert(connection, feature_vectors, vectors)
    _insert(connection, predictions, found.to_dicts())


def _insert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """As the values are stored, past the types of the columns."""
    names = [column.name for column in table.c]
    places = ", ".join("?" * len(names))
    columns = ", ".join(f'"{name}"' for name in names)
    sql = f"INSERT INTO {table.name} ({columns}) VALUES ({places})"  # noqa: S608 - of the schema
    if rows:
        connection.exec_driver_sql(sql, [tuple(row.get(name) for name in names) for row in rows])
