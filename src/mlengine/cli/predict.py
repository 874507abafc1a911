"""`flask predict`."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

import click

from mlengine.cli import shell


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
    answer = shell.engine().predict.one(
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
    shell.print_table(
        ["symbol", "bar", "prediction", "probability up", "expected return", "score", "base rate"]
        + ["model", "in sample", "stale"],
        [
            [answer.symbol, answer.bar_timestamp, answer.prediction, answer.probability_up]
            + [
                answer.expected_return,
                answer.expected_score,
                answer.base_rate,
                answer.model_version,
            ]
            + [answer.in_sample, answer.stale]
        ],
    )
    for part in answer.contributions or ():
        click.echo(f"  {part.contribution:+.6f}  {part.feature} = {shell.shown(part.value)}")
