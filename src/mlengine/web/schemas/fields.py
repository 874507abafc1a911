"""The values of the HTTP contract as marshmallow fields; text is ASCII where a pattern says so."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

from marshmallow import (
    Schema,
    ValidationError,
    fields,
    post_load,
    validate,
    validates_schema,
)

from mlengine.core.bars.symbols import SYMBOL_RULE, is_symbol
from mlengine.core.line_names import MODEL_LINE
from mlengine.core.timestamps import parse_rfc3339, range_refusal, rfc3339
from mlengine.errors import ModelNotFound
from mlengine.web.http.requests import ask_line, ask_lines, request_time

_WHOLE = re.compile(r"-?[0-9]{1,18}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
    r"(?P<zone>[Zz]|[+-][0-9]{2}:[0-9]{2}| [0-9]{2}:[0-9]{2})?"
)
MOST_LINES = 10
_NO_SUCH_TIME = "must be RFC 3339 with a zone, or a date: no such moment"


class Pattern(fields.String):
    """Text that `pattern` matches as a whole; a subclass names the pattern and its rule."""

    pattern: ClassVar[re.Pattern[str]]
    rule: ClassVar[str]

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        text: str = super()._deserialize(value, attr, data, **kwargs)
        if not self.pattern.fullmatch(text):
            raise ValidationError(f"must be {self.rule}")
        return text


class Symbol(fields.String):
    """See `is_symbol`."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        text: str = super()._deserialize(value, attr, data, **kwargs)
        if not is_symbol(text):
            raise ValidationError(f"must be {SYMBOL_RULE}")
        return text


class Version(Pattern):
    pattern = re.compile(r"v[1-9][0-9]{0,9}")
    rule = "a version such as v3"


class Cursor(Pattern):
    pattern = re.compile(r"[A-Za-z0-9_-]{1,64}")
    rule = "the next_cursor of an earlier answer"


class FeatureSetName(Pattern):
    pattern = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
    rule = "the name of a feature set"


class RunId(Pattern):
    pattern = re.compile(r"[A-Za-z0-9-]{1,64}")
    rule = "the run_id of an earlier answer"


class QueryInteger(fields.Field[int]):
    """A whole number in ASCII digits, as a query parameter carries it."""

    def __init__(self, low: int, high: int, **kwargs: Any) -> None:
        super().__init__(validate=validate.Range(low, high), **kwargs)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> int:  # noqa: ARG002
        if not _WHOLE.fullmatch(value):
            raise ValidationError("must be a whole number")
        return int(value)


class BoundedInteger(fields.Integer):
    """A whole number of a JSON body: no text, no float, no boolean."""

    def __init__(self, low: int, high: int, **kwargs: Any) -> None:
        super().__init__(strict=True, validate=validate.Range(low, high), **kwargs)


class BoundedFloat(fields.Float):
    """A number of a JSON body within bounds; no text."""

    def __init__(self, low: float, high: float, **kwargs: Any) -> None:
        super().__init__(validate=validate.Range(low, high), **kwargs)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> float:
        if isinstance(value, str):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class QueryFlag(fields.Field[bool]):
    """`true` or `false`, as a query parameter carries it."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> bool:  # noqa: ARG002
        if value not in ("true", "false", "1", "0"):
            raise ValidationError("must be true or false")
        return value in ("true", "1")


class AsOfField(fields.Field[datetime]):
    """A time that is not in the future: RFC 3339 with a zone, or a date and then its end.

    A date may be the present one: where its session ends is a matter of the market.
    """

    def __init__(self, now: Callable[[], datetime], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._now = now

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> datetime:  # noqa: ARG002
        if not isinstance(value, str):
            raise ValidationError("must be RFC 3339 text")
        as_of = _parse_time(value, date_offset=timedelta(days=1))
        begun = _parse_time(value, date_offset=timedelta(0))
        if begun > self._now():
            raise ValidationError(f"is in the future: {rfc3339(as_of)}")
        return as_of


class TimeBound(fields.Field[datetime]):
    """A bound in time: RFC 3339 with a zone, or a date and then its beginning."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> datetime:  # noqa: ARG002
        if not isinstance(value, str):
            raise ValidationError("must be RFC 3339 text")
        return _parse_time(value, date_offset=timedelta(0))


def _parse_time(text: str, *, date_offset: timedelta) -> datetime:
    """A bare date stands for its beginning plus `date_offset`."""
    try:
        if _DATE.fullmatch(text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC) + date_offset
        _check_format(text)
        return parse_rfc3339(text.upper())
    except (ValueError, OverflowError):
        raise ValidationError(_NO_SUCH_TIME) from None


def _check_format(text: str) -> None:
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValidationError(
            "must be RFC 3339 with a zone, such as 2024-05-31T16:00:00Z, or a date"
        )
    if match["zone"] is None:
        raise ValidationError("has no zone; end it with Z or an offset")
    if match["zone"].startswith(" "):
        raise ValidationError("has a space before its offset; send + as %2B")


class RequestSchema(Schema):
    """`model=`, alone or with more fields: the model line that the request is about."""

    model = fields.String(
        load_default=None,
        metadata={"description": f"the model line; `{MODEL_LINE}` without it", "example": "main"},
    )

    @post_load
    def ask_line(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Drop `model`, which `asked_line` knows from here on; raises LineNotFound."""
        line = data.pop("model")
        if line is not None:
            ask_line(line)
        return data


class RangeSchema(RequestSchema):
    """With `since` and `until`, in this order."""

    since = TimeBound(
        load_default=None, metadata={"description": "from then on; a date is its beginning"}
    )
    until = TimeBound(load_default=None, metadata={"description": "before then; not before since"})

    @validates_schema
    def refuse_backwards(self, data: dict[str, Any], **_: Any) -> None:
        if reason := range_refusal(data["since"], data["until"]):
            raise ValidationError({"since": [reason]})


class LinesSchema(RequestSchema):
    """`model=` may name several lines, by comma."""

    model = fields.String(
        load_default=None,
        metadata={
            "description": f"the model line, or at most {MOST_LINES} by comma; `{MODEL_LINE}` "
            "without it",
            "example": "main",
        },
    )

    @post_load
    def ask_line(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Drop `model`, which `asked_lines` knows from here on; raises LineNotFound."""
        line = data.pop("model")
        if line is None:
            return data
        names = tuple(line.split(","))
        if len(names) > MOST_LINES or len(set(names)) < len(names):
            raise ValidationError({"model": [f"must name 1 to {MOST_LINES} lines, each once"]})
        ask_lines(names)
        return data


class AsOfSchema(RequestSchema):
    """With `as_of`; where it is a bare date, `session` is that date."""

    as_of = AsOfField(
        request_time,
        load_default=None,
        allow_none=True,
        metadata={"description": "takes the bars that were known by then; now without it"},
    )

    @post_load(pass_original=True)
    def name_session(
        self, data: dict[str, Any], original: Mapping[str, Any], **_: Any
    ) -> dict[str, Any]:
        as_of = original.get("as_of")
        if as_of is None or not _DATE.fullmatch(as_of):
            return data
        return {**data, "session": date.fromisoformat(as_of)}


def version_of_path(text: str) -> str:
    """A version from a path; raises ModelNotFound for what can't be one."""
    if not Version.pattern.fullmatch(text):
        raise ModelNotFound(text)
    return text
