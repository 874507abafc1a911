"""`mlengine predict`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING
from uuid import uuid4

import click

from mlengine.cli.context import Output, current_platform, json_command, now
from mlengine.cli.options import SymbolName, as_of_moment, as_of_option, line_option
from mlengine.cli.output import format_cell, table

if TYPE_CHECKING:
    from mlengine.core.predictions.prediction import Prediction


@click.command("predict")
@click.argument("symbol", type=SymbolName())
@click.option("--version", help="A version other than the active one.")
@click.option("--explain", is_flag=True, help="Show what each feature added.")
@as_of_option
@line_option
@json_command
def predict(symbol: str, version: str | None, explain: bool, as_of: date | None) -> Output:
    """Predict a symbol.

    The prediction stands in the audit like any other.
    """
    from mlengine.services.predictions.prediction_builder import (  # noqa: PLC0415 - LightGBM
        PredictionRequest,
    )

    platform = current_platform()
    moment = as_of_moment(platform.bars, symbol, as_of)
    request = PredictionRequest(uuid4().hex, now(), moment, version, explain, route="cli")
    prediction = platform.predict.predict(symbol, request)
    name, value = _forecast(prediction)
    row = {
        "symbol": prediction.symbol,
        "bar": prediction.bar_timestamp,
        "prediction": prediction.prediction,
        name: value,
        "base rate": prediction.base_rate,
        "model's verdict": prediction.model_verdict,
        "model": prediction.model_version,
        "in sample": prediction.in_sample,
        "stale": prediction.stale,
        "usable": "yes" if prediction.usable else f"no: {', '.join(prediction.reasons)}",
    }
    lines = [table(list(row), [list(row.values())]), *_explanation(prediction)]
    return Output(prediction, "\n".join(lines))


def _explanation(prediction: Prediction) -> Iterator[str]:
    """The sum that makes the score, largest part first; a probability's is in log odds."""
    if prediction.contributions is None:
        return
    parts = [part for part in prediction.contributions if part.contribution]
    yield f"  {prediction.base_value:+.6f}  base value"
    for part in parts:
        yield f"  {part.contribution:+.6f}  {part.feature} = {format_cell(part.value)}"
    unit = ", in log odds" if prediction.probability_up is not None else ""
    silent = len(prediction.contributions) - len(parts)
    yield f"= {prediction.raw_score:+.6f}{unit}; {silent} other features add nothing"


def _forecast(prediction: Prediction) -> tuple[str, float | None]:
    """The one number that this objective gives, and its name."""
    if prediction.probability_up is not None:
        return "probability up", prediction.probability_up
    if prediction.expected_return is not None:
        return "expected return", prediction.expected_return
    return "expected score", prediction.expected_score
