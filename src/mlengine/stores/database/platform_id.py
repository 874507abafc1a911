"""Which platform a database is of; every process on that database is part of it."""

from sqlalchemy import Engine, select, update

from mlengine.errors import DatabaseUnavailable
from mlengine.stores.database.engine import reading, writing
from mlengine.stores.database.tables import platform


def read_platform_id(engine: Engine) -> str:
    """The same for ever; raises DatabaseUnavailable, also where the schema is older than it."""
    with reading(engine) as connection:
        name = connection.scalar(select(platform.c.id))
    if name is None:
        raise DatabaseUnavailable("it doesn't say which platform it is of")
    return str(name)


def claim_registry(engine: Engine, registry_id: str) -> str:
    """The registry that the platform's versions are in: `registry_id` where nobody said before.

    Raises DatabaseUnavailable.
    """
    unclaimed = platform.c.registry_id.is_(None)
    with writing(engine) as connection:
        connection.execute(update(platform).where(unclaimed).values(registry_id=registry_id))
        return str(connection.scalar(select(platform.c.registry_id)))
