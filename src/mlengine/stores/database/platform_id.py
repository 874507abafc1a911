"""Which platform a database is of; every process on that database is part of it."""

from sqlalchemy import Engine, select

from mlengine.errors import DatabaseUnavailable
from mlengine.stores.database.engine import reading
from mlengine.stores.database.tables import platform


def read_platform_id(engine: Engine) -> str:
    """The same for ever; raises DatabaseUnavailable, also where the schema is older than it."""
    with reading(engine) as connection:
        name = connection.scalar(select(platform.c.id))
    if name is None:
        raise DatabaseUnavailable("it doesn't say which platform it is of")
    return str(name)
