"""Opening an engine on PostgreSQL."""

import math
from typing import Any

from sqlalchemy import URL, Dialect, Engine, NullPool, create_engine, event
from sqlalchemy.exc import DBAPIError

from mlengine.stores.database.server.limits import ServerLimits, give_limits

# psycopg takes less than two seconds for two.
_LEAST_CONNECT_SECONDS = 2
_KEEPALIVES = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}


def open_server(address: URL, *, timeout_seconds: float) -> Engine:
    """An engine whose connections are held to limits; nothing is connected yet.

    What the URL itself says of a connection holds. Raises ModuleNotFoundError where the driver is
    not installed.
    """
    parameters = {
        name: value
        for name, value in _connect_parameters(timeout_seconds).items()
        if name not in address.query
    }
    options: dict[str, Any] = {"hide_parameters": True, "connect_args": parameters}
    engine = create_engine(
        address, pool_pre_ping=True, pool_timeout=timeout_seconds, pool_use_lifo=True, **options
    )
    if engine.dialect.driver != "psycopg":
        return engine
    prober = create_engine(address, poolclass=NullPool, **options)
    limits = ServerLimits(timeout_seconds, probe=lambda: _answers(prober))
    for each in (engine, prober):
        _hold_to_limits(each, limits)
    give_limits(engine, limits)
    return engine


def _connect_parameters(seconds: float) -> dict[str, object]:
    return {
        "application_name": "mlengine",
        "connect_timeout": max(_LEAST_CONNECT_SECONDS, math.ceil(seconds)),
        "tcp_user_timeout": round(seconds * 1000),  # of a host that is gone
        **_KEEPALIVES,
    }


def _hold_to_limits(engine: Engine, limits: ServerLimits) -> None:
    from mlengine.stores.database.server.connection import (  # noqa: PLC0415 - an extra
        connect_within,
    )

    @event.listens_for(engine, "do_connect")
    def _connect(_: Dialect, _record: object, arguments: Any, parameters: Any) -> object:
        return connect_within(limits, *arguments, **parameters)


def _answers(engine: Engine) -> bool:
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")
    except DBAPIError:
        return False
    return True
