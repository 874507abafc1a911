"""`flask predict`."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

import click

from mlengine.cli import shell
from mlengine.core.predictions.prediction import Prediction


@click.command("predict")
@click.argument("symbol")
@click.option("--version", help="A version other than the active one.")
@click.option("--explain", is_flag=True, help="Show what each feature added.")
@shell.as_of
@shell.as_json
@shell.command
def predict(
    symbol: str, version: str | None, explain: bool, as_of: datetime | None, json_: bool
) -> None:
    """Predict SYMBOL; the answer stands in the audit like any other."""
    answer = shell.platform().predict.predict(
        symbol,
        as_of=as_of,
        version=version,
        explain=explain,
        request_id=uuid4().hex,
        now=shell.now(),
        route="cli",
    )
    if json_:
        shell.print_json(answer)
        return
    said, value = _said(answer)
    shell.print_table(
        ["symbol", "bar", "prediction", said, "base rate", "model", "in sample", "stale", "usable"],
        [
            [answer.symbol, answer.bar_timestamp, answer.prediction, value, answer.base_rate]
            + [answer.model_version, answer.in_sample, answer.stale]
            + ["yes" if answer.usable else f"no: {', '.join(answer.reasons)}"]
        ],
    )
    for part in answer.contributions or ():
        click.echo(f"  {part.contribution:+.6f}  {part.feature} = {shell.shown(part.value)}")


def _said(answer: Prediction) -> tuple[str, float | None]:
    """The one number that this objective gives, and its name."""
    if answer.probability_up is not None:
        return "probability up", answer.probability_up
    if answer.expected_return is not None:
        return "expected return", answer.expected_return
    return "expected score", answer.expected_score
