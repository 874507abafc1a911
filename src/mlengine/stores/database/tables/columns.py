"""What the tables have in common: their metadata, their moments and their numbers.

Moments are whole microseconds since 1970 in UTC: exact, ordered, the same on SQLite and
PostgreSQL. SQLite keeps float64 to the last bit, except that it drops the sign of a zero.
"""

from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Dialect, Integer, MetaData, TypeDecorator

from mlengine.core.timestamps import EPOCH
from mlengine.errors import DamagedRow

MICROSECOND = timedelta(microseconds=1)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, kept as microseconds since 1970; a naive one is refused."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        return to_microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        try:
            return None if value is None else EPOCH + timedelta(microseconds=value)
        except (TypeError, OverflowError):
            raise DamagedRow from None


def to_microseconds(moment: datetime | None) -> int | None:
    """The stored form of a moment; TypeError when it is naive."""
    return None if moment is None else (moment - EPOCH) // MICROSECOND


metadata = MetaData()
Sequence = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers INTEGER keys only
