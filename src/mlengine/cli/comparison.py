"""Two versions side by side, as `flask models compare` prints them."""

from __future__ import annotations

import click

from mlengine.cli import shell
from mlengine.core.promotion.diebold_mariano import DieboldMariano
from mlengine.core.versions.comparison import Comparison

_WIDEST = 40
_REASONS = {
    "not_comparable": "their labels mean different things, so no figure would compare them",
    "no_common_rows": "no row lies in both holdouts",
}


def print_comparison(found: Comparison) -> None:
    """Figures on common rows, or why there are none; then what differs in the recipes."""
    if found.common is None or found.test is None:
        click.echo(f"{found.reason}: {_REASONS.get(found.reason or '', '')}")
    else:
        common = found.common
        click.echo(
            f"on rows that neither was trained on: {common.rows} (dates: {common.dates}, "
            f"symbols: {common.symbols}), {common.start:%Y-%m-%d} to {common.end:%Y-%m-%d}"
        )
        shell.print_table(
            ["metric", found.a, found.b], [[pair.metric, pair.a, pair.b] for pair in found.metrics]
        )
        click.echo()
        shell.print_table(["what", "value"], _tested(found, found.test))
    click.echo()
    if not found.recipe:
        click.echo("their recipes are the same")
        return
    shell.print_table(
        ["differs", found.a, found.b],
        [[each.field, _short(each.a), _short(each.b)] for each in found.recipe],
    )


def _tested(found: Comparison, test: DieboldMariano) -> list[list[object]]:
    return [
        ["correlation of predictions", found.correlation],
        ["correlation of their ranks", found.rank_correlation],
        [f"{found.loss} of {found.a} less that of {found.b}, by date", test.mean_difference],
        ["Diebold-Mariano statistic", test.statistic],
        [f"p-value, one-sided: {found.b} better", test.p_value],
        ["kernel", f"{test.kernel}, {test.lags} lags"],
    ]


def _short(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else shell.shown(value)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"
