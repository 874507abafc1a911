"""The queries of `/monitoring`."""

from typing import Any

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from mlengine.core.monitoring.drift.windows import (
    DEFAULT_WINDOW,
    MODES,
    WINDOW_RULE,
    DriftWindow,
)
from mlengine.core.monitoring.event import EVENT_KINDS
from mlengine.core.outcomes.report import DEFAULT_WINDOW as DEFAULT_DATES
from mlengine.core.outcomes.report import WINDOWS
from mlengine.web.schemas.fields import (
    Cursor,
    QueryFlag,
    QueryInteger,
    RangeSchema,
    RequestSchema,
    Symbol,
    Version,
)

_DAY = 86_400


class DriftWindowField(fields.Field[DriftWindow]):
    """`500` bars or `7d`."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> DriftWindow:  # noqa: ARG002
        try:
            return DriftWindow.parse(value)
        except ValueError:
            raise ValidationError(f"must be {WINDOW_RULE}") from None


class DriftQuery(RequestSchema):
    """`window` counts distinct bars, the newest first, or days."""

    window = DriftWindowField(
        load_default=DEFAULT_WINDOW,
        metadata={"description": "newest distinct bars, or days such as `7d`"},
    )
    version = Version(load_default=None)
    mode = fields.String(validate=validate.OneOf(MODES), load_default=MODES[0])


class PerformanceQuery(RequestSchema):
    """`window` counts dates, the newest with outcomes first; `group` is the name of a calendar."""

    version = Version(load_default=None)
    window = fields.String(
        validate=validate.OneOf([str(each) for each in WINDOWS]),
        load_default=str(DEFAULT_DATES),
        metadata={"description": "newest dates with outcomes"},
    )
    symbol = Symbol(load_default=None)
    group = fields.String(
        validate=validate.Length(1, 32),
        load_default=None,
        metadata={"description": "symbols of this calendar alone; `none` are those without one"},
    )

    @post_load
    def count_dates(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """`window` as a number."""
        return {**data, "window": int(data["window"])}


class HistoryQuery(RangeSchema):
    kind = fields.String(validate=validate.OneOf(EVENT_KINDS), load_default=None)
    actor = fields.String(
        validate=validate.Length(1, 128),
        load_default=None,
        metadata={"description": "who did it: the name of a key, `cli:` and a user, …"},
    )
    all_lines = QueryFlag(
        load_default=False,
        metadata={"description": "of every model line; without `model`"},
    )
    limit = QueryInteger(1, 1000, load_default=50)
    cursor = Cursor(load_default=None)

    @validates_schema
    def refuse_one_line_of_all(self, data: dict[str, Any], **_: Any) -> None:
        if data["all_lines"] and data["model"] is not None:
            raise ValidationError({"all_lines": ["is of every line, and model of one"]})


class LatencyQuery(RequestSchema):
    """`window` is in seconds."""

    window = QueryInteger(1, 30 * _DAY, load_default=3600, metadata={"description": "seconds"})
