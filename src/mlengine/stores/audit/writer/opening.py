"""Which short way there is into a database."""

from sqlalchemy import Engine, event

from mlengine.stores.audit.writer.group_writer import GroupWriter, RowCommitter, WriteAgain
from mlengine.stores.audit.writer.sqlite_rows import SqliteRowCommitter
from mlengine.stores.database.server.limits import limits_of
from mlengine.stores.database.sqlite.checkpointer import checkpointer_of


def group_writer_for(engine: Engine, write_again: WriteAgain | None) -> GroupWriter | None:
    """Into a file of SQLite, or into PostgreSQL; None where rows go the long way alone.

    With `write_again` a server need not force each commit to its disk.
    """
    committer = _committer_for(engine, write_again)
    if committer is None:
        return None
    writer = GroupWriter(committer)
    event.listen(engine, "engine_disposed", lambda _: writer.close())
    return writer


def _committer_for(engine: Engine, write_again: WriteAgain | None) -> RowCommitter | None:
    checkpointer, limits = checkpointer_of(engine), limits_of(engine)
    if checkpointer is not None:
        return SqliteRowCommitter(engine, checkpointer)
    if limits is None:
        return None
    from mlengine.stores.audit.writer.server_rows import (  # noqa: PLC0415 - psycopg, an extra
        ServerRowCommitter,
    )

    return ServerRowCommitter(engine, limits, write_again)
