"""`/predict` and `/predict/batch`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress
from typing import Any, cast

from marshmallow import ValidationError, fields, validates

from mlengine.core.bars.symbols import SYMBOL_RULE, is_symbol
from mlengine.core.predictions.prediction import FailedPrediction, Prediction
from mlengine.errors import InvalidRequest, MlengineError
from mlengine.services.predictions.prediction_builder import PredictionBatch
from mlengine.web.http.requests import settings
from mlengine.web.schemas.fields import AsOfSchema, LinesSchema, QueryFlag, Symbol, Version

_ECHOED_CHARACTERS = 128
_EXPLANATION_FIELDS = ("raw_score", "base_value", "contributions")


class PredictQuery(AsOfSchema, LinesSchema):
    symbol = Symbol(required=True)
    version = Version(
        load_default=None,
        metadata={"description": "any published version; the active one without it"},
    )
    explain = QueryFlag(
        load_default=False,
        metadata={
            "description": "adds `contributions`: how far each feature moved the raw score (for "
            "`direction`, log-odds), the largest first; `base_value` and all of them add up to "
            "`raw_score`"
        },
    )


class AnyItems(fields.List[Any]):
    """A list of anything, which is not looked at item by item."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **_: Any) -> list[Any]:  # noqa: ARG002
        if not isinstance(value, list):
            raise self.make_error("invalid")
        return value


class BatchBody(AsOfSchema, LinesSchema):
    """`symbols` are anything here: what is no symbol is its own item's error."""

    symbols = AnyItems(
        fields.Raw(allow_none=True),
        required=True,
        metadata={"minItems": 1, "description": "at most `MAX_BATCH_SYMBOLS`, repeats allowed"},
    )
    version = Version(load_default=None, allow_none=True)

    @validates("symbols")
    def check_length(self, symbols: list[object], **_: Any) -> None:
        longest = settings().max_batch_symbols
        if not 1 <= len(symbols) <= longest:
            raise ValidationError(f"must hold 1 to {longest} symbols")


def prediction_body(prediction: Prediction) -> dict[str, Any]:
    """Its fields, for a JSON writer that knows dataclasses and times in UTC.

    Those of an explanation only when there is one.
    """
    return _without_empty_explanation({**vars(prediction)})


def _without_empty_explanation(body: dict[str, Any]) -> dict[str, Any]:
    for name in _EXPLANATION_FIELDS:
        if body[name] is None:
            del body[name]
    return body


@dataclass(frozen=True)
class BatchReply:
    """The `symbols` of a batch; what is no symbol never reaches a service."""

    symbols: tuple[object, ...]

    @cached_property
    def are_valid(self) -> Sequence[bool]:
        """Of each, whether it is a symbol."""
        return [isinstance(symbol, str) and is_symbol(symbol) for symbol in self.symbols]

    @property
    def valid(self) -> tuple[str, ...]:
        return tuple(compress(cast("tuple[str, ...]", self.symbols), self.are_valid))

    def render(
        self, model_version: str, results: Sequence[Prediction | FailedPrediction]
    ) -> dict[str, Any]:
        """The body of `/predict/batch`: `results` of the valid symbols, put back in order."""
        remaining = iter(results)
        items = [
            _result_item(next(remaining)) if is_valid else _invalid_item(symbol)
            for symbol, is_valid in zip(self.symbols, self.are_valid, strict=True)
        ]
        return {"model_version": model_version, "results": items, "summary": _summary(items)}

    def render_refusal(self, refusal: MlengineError) -> dict[str, Any]:
        """The same, where no symbol has an answer, for one reason."""
        return {
            "results": [
                _error_item(str(symbol), refusal.code, str(refusal))
                if is_valid
                else _invalid_item(symbol)
                for symbol, is_valid in zip(self.symbols, self.are_valid, strict=True)
            ]
        }


def render_lines(
    reply: BatchReply, answers: Mapping[str, PredictionBatch | MlengineError]
) -> dict[str, Any]:
    """The body where several lines are asked: the results of each symbol, line by line."""
    bodies = {
        line: reply.render("", answer.results)
        if isinstance(answer, PredictionBatch)
        else reply.render_refusal(answer)
        for line, answer in answers.items()
    }
    rows = zip(*(body["results"] for body in bodies.values()), strict=True)
    results = [
        {**item, "model": line} for items in rows for line, item in zip(bodies, items, strict=True)
    ]
    return {
        "models": [_line_item(line, answer) for line, answer in answers.items()],
        "results": results,
        "summary": _summary(results),
    }


def _line_item(line: str, answer: PredictionBatch | MlengineError) -> dict[str, Any]:
    version = answer.model_version if isinstance(answer, PredictionBatch) else None
    return {"model": line, "model_version": version}


def _summary(items: Sequence[Mapping[str, object]]) -> dict[str, int]:
    succeeded = sum(item["status"] == "ok" for item in items)
    return {
        "requested": len(items),
        "succeeded": succeeded,
        "failed": len(items) - succeeded,
    }


def _result_item(result: Prediction | FailedPrediction) -> dict[str, Any]:
    if isinstance(result, FailedPrediction):
        item = _error_item(result.symbol, result.error_code, result.detail)
        return {**item, "prediction_id": result.prediction_id}
    return _without_empty_explanation({"symbol": "", "status": "ok", **vars(result)})


def _invalid_item(value: object) -> dict[str, Any]:
    """Text is echoed in part; what is no text is null."""
    echo = value[:_ECHOED_CHARACTERS] if isinstance(value, str) else None
    return _error_item(echo, InvalidRequest.code, f"must be {SYMBOL_RULE}")


def _error_item(symbol: str | None, code: str, detail: str) -> dict[str, Any]:
    return {"symbol": symbol, "status": "error", "error": {"code": code, "detail": detail}}
