"""The queries of `/monitoring`."""

from marshmallow import fields, validate

from mlengine.core.monitoring.event import EVENT_KINDS
from mlengine.web.schemas.fields import Cursor, QueryInteger, RequestSchema, TimeBound, Version

_DAY = 86_400


class DriftQuery(RequestSchema):
    """`window` counts distinct bars, the newest first."""

    window = QueryInteger(
        1, 100_000, load_default=250, metadata={"description": "newest distinct bars"}
    )
    version = Version(load_default=None)


class HistoryQuery(RequestSchema):
    kind = fields.String(validate=validate.OneOf(EVENT_KINDS), load_default=None)
    actor = fields.String(
        validate=validate.Length(1, 128),
        load_default=None,
        metadata={"description": "who did it: the name of a key, `cli:` and a user, …"},
    )
    since = TimeBound(
        load_default=None, metadata={"description": "from then on; a date is its beginning"}
    )
    until = TimeBound(load_default=None, metadata={"description": "before then"})
    limit = QueryInteger(1, 1000, load_default=50)
    cursor = Cursor(load_default=None)


class LatencyQuery(RequestSchema):
    """`window` is in seconds."""

    window = QueryInteger(1, 30 * _DAY, load_default=3600, metadata={"description": "seconds"})
