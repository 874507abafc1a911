"""What the routes of model lines take and answer."""

from typing import Any, Literal, TypedDict

from marshmallow import (
    Schema,
    ValidationError,
    fields,
    post_load,
    validate,
    validates_schema,
)

from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.line_names import LINE_RULE
from mlengine.core.lines.line import LineDefinition
from mlengine.core.training.spec import ACTIVATIONS
from mlengine.services.lines.service import LineSummary
from mlengine.web.http.requests import platform
from mlengine.web.schemas.answers import (
    BATCH_PREDICTION,
    BatchSummary,
    ItemError,
    ListOf,
    OneOf,
    Shape,
)


class LineBody(Schema):
    """A line by its name, and what it says of itself; what it doesn't is as configured."""

    name = fields.String(required=True, metadata={"description": LINE_RULE})
    recipe = fields.Dict(
        fields.String(),
        fields.Raw(),
        metadata={"description": "fields as in the body of `POST /admin/train`, without `note`"},
    )
    interval = fields.String(validate=validate.OneOf([*INTERVALS]), allow_none=True)
    schedule = fields.String(
        allow_none=True,
        metadata={"description": "when to train: five fields of cron in UTC, such as 30 2 * * 1-5"},
    )
    schedule_activate = fields.String(validate=validate.OneOf(ACTIVATIONS), allow_none=True)
    note = fields.String(validate=validate.Length(1, 1000), allow_none=True)

    @validates_schema(skip_on_field_errors=False)
    def refuse_together(self, data: dict[str, Any], **_: Any) -> None:
        """All that is refused of the other fields, also beside one of another type."""
        fields_ = dict(data)
        name, definition = fields_.pop("name", None), LineDefinition.from_dict(fields_)
        refusals = platform().control.lines.refusals(name, definition)
        if "universe_file" in definition.recipe:  # of this machine, which its owner alone names
            refusals["recipe.universe_file"] = ["stands in a file of LINES_DIR alone"]
        if refusals:
            raise ValidationError(dict(refusals))

    @post_load
    def make_definition(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """`name` and `definition`."""
        return {"name": data.pop("name"), "definition": LineDefinition.from_dict(data)}


class Lines(TypedDict):
    lines: list[LineSummary]


class LineVersion(TypedDict):
    model: str
    model_version: str | None


LINE_FAILURE = Shape(
    "LineFailure",
    optional=("prediction_id",),
    members={
        "symbol": str | None,
        "model": str,
        "status": Literal["error"],
        "error": ItemError,
        "prediction_id": str,
    },
)
LINES = Shape(
    "PredictionsOfLines",
    members={
        "models": list[LineVersion],
        "results": ListOf(OneOf((BATCH_PREDICTION, LINE_FAILURE))),
        "summary": BatchSummary,
    },
)
