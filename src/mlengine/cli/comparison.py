"""Two versions side by side, as `mlengine models compare` prints them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlengine.cli.output import format_cell, table

if TYPE_CHECKING:
    from mlengine.core.promotion.diebold_mariano import DieboldMariano
    from mlengine.core.versions.comparison import Comparison

_MAX_WIDTH = 40
_REASONS = {
    "not_comparable": "their labels mean different things, so no figure would compare them",
    "no_common_rows": "no row lies in both holdouts",
}


def comparison_text(comparison: Comparison) -> str:
    """Figures on common rows, or why there are none; then what differs in the recipes."""
    if comparison.common is None or comparison.test is None:
        parts = [f"{comparison.reason}: {_REASONS.get(comparison.reason or '', '')}"]
    else:
        common = comparison.common
        metrics = [[pair.metric, pair.a, pair.b] for pair in comparison.metrics]
        parts = [
            f"on rows that neither was trained on: {common.rows} (dates: {common.dates}, "
            f"symbols: {common.symbols}), {common.start:%Y-%m-%d} to {common.end:%Y-%m-%d}\n"
            + table(["metric", comparison.a, comparison.b], metrics),
            table(["what", "value"], _test_rows(comparison, comparison.test)),
        ]
    differences = [[diff.field, _shorten(diff.a), _shorten(diff.b)] for diff in comparison.recipe]
    recipes = table(["differs", comparison.a, comparison.b], differences)
    return "\n\n".join([*parts, recipes if differences else "their recipes are the same"])


def _test_rows(comparison: Comparison, test: DieboldMariano) -> list[list[object]]:
    return [
        ["correlation of predictions", comparison.correlation],
        ["correlation of their ranks", comparison.rank_correlation],
        [
            f"{comparison.loss} of {comparison.a} less that of {comparison.b}, by date",
            test.mean_difference,
        ],
        ["Diebold-Mariano statistic", test.statistic],
        [f"p-value, one-sided: {comparison.b} better", test.p_value],
        ["kernel", f"{test.kernel}, {test.lags} lags"],
    ]


def _shorten(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else format_cell(value)
    return text if len(text) <= _MAX_WIDTH else f"{text[: _MAX_WIDTH - 1]}…"
