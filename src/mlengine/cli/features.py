"""`mlengine features …`: what the features are, their newest values, and whether they leak."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import TYPE_CHECKING

import click

from mlengine.cli.context import Output, current_platform, json_command, now
from mlengine.cli.options import SymbolName, as_of_moment, as_of_option, line_option
from mlengine.cli.output import format_cell, table

if TYPE_CHECKING:
    from mlengine.core.features import FeatureSet
    from mlengine.core.features.leaks.check import FeatureCheck, LeakReport

_SHOW = "show"


class DefaultShowGroup(click.Group):
    """A group whose first word may also be a symbol, to show: `mlengine features AAPL`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `show` before anything that is no command of the group and no call for help."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [_SHOW, *args]
        return super().parse_args(ctx, args)


features = DefaultShowGroup(
    "features",
    help="Show a symbol's newest feature rows; list, check.",
)


@features.command(_SHOW)
@click.argument("symbol", type=SymbolName())
@click.option("--limit", default=1, show_default=True, type=click.IntRange(1, 5000))
@click.option("--feature-set", help="A set other than the configured one.")
@as_of_option
@line_option
@json_command
def show(symbol: str, limit: int, feature_set: str | None, as_of: date | None) -> Output:
    """Show the newest feature rows of SYMBOL, one column a row."""
    platform = current_platform(needs_database=False)
    rows = platform.features.table(
        symbol,
        limit=limit,
        as_of=as_of_moment(platform.bars, symbol, as_of),
        feature_set=feature_set,
        now=now(),
    ).rows
    timestamps = [format_cell(timestamp) for timestamp in rows["timestamp"]]
    columns = [[column.name, *column.to_list()] for column in rows.drop("timestamp")]
    return Output(rows.to_dicts(), table(["feature", *timestamps], columns))


@features.command("list")
@click.option("--feature-set", help="Only this set.")
@click.option("--markdown", "markdown_", is_flag=True, help="Print the page docs/features.md.")
@json_command
def list_(feature_set: str | None, markdown_: bool) -> Output:
    """List every feature of every set with its declaration."""
    from mlengine.core.features.catalogue import catalogue_markdown  # noqa: PLC0415 - Polars

    service = current_platform(needs_database=False).features
    sets = (
        [service.feature_set(feature_set)] if feature_set else list(service.feature_sets.values())
    )
    headers = ["set", "feature", "window", "look-back", "unit", "range", "source", "formula"]
    return Output(
        [_declaration(feature_set) for feature_set in sets],
        catalogue_markdown(sets).rstrip() if markdown_ else table(headers, _declaration_rows(sets)),
    )


@features.command("check")
@click.argument("name")
@click.option(
    "--symbol", "symbols", multiple=True, help="Repeatable; by default those of trainings."
)
@click.option(
    "--bars", default=0, show_default=True, type=click.IntRange(0), help="A symbol; 0 = all."
)
@json_command
def check(name: str, symbols: tuple[str, ...], bars: int) -> Output:
    """Test feature set NAME for leaks, parity and what it declares.

    On all bars of the upstream; the costliest tests on the newest.
    Exits with 1 when a feature fails.
    """
    report = current_platform(needs_database=False).features.check(
        name, symbols=symbols, bars=bars, now=now()
    )
    document = {"ok": report.ok, **_to_json(report)}
    return Output(document, _report_text(report), exit_code=0 if report.ok else 1)


def _declaration(feature_set: FeatureSet) -> dict[str, object]:
    fields = ("name", "formula", "bars", "unit", "source", "low", "high", "scale_free", "doc")
    return {
        "name": feature_set.name,
        "version": feature_set.version,
        "hash": feature_set.hash,
        "window_bars": feature_set.window_bars,
        "features": [
            {name: getattr(feature, name) for name in fields} for feature in feature_set.features
        ],
    }


def _declaration_rows(sets: Iterable[FeatureSet]) -> list[list[object]]:
    from mlengine.core.features.catalogue import format_value_range  # noqa: PLC0415 - Polars

    return [
        [one.name, feature.name, one.window_bars, feature.bars, feature.unit]
        + [format_value_range(feature), feature.source, feature.formula]
        for one in sets
        for feature in one.features
    ]


def _to_json(report: LeakReport) -> dict[str, object]:
    return {
        "feature_set": report.feature_set,
        "symbols": report.symbols,
        "rows": report.rows,
        "features": [
            {"feature": one.feature, "ok": one.ok, "breaches": one.breaches, "advice": one.advice}
            for one in report.features
        ],
        "notes": report.notes,
    }


def _report_text(report: LeakReport) -> str:
    """A line a feature, or one for each test that it fails, with both values to the last bit."""
    headers = ["feature", "result", "test", "symbol", "row", "expected", "got", "what it means"]
    failing = sum(not each.ok for each in report.features)
    total, symbols = len(report.features), ", ".join(report.symbols)
    summary = f"{failing} of {total} features fail on {report.rows} bars of {symbols}"
    rows = [row for each in report.features for row in _check_rows(each)]
    return "\n".join([table(headers, rows), summary, *report.notes])


def _check_rows(feature_check: FeatureCheck) -> Sequence[Sequence[object]]:
    results = [("fails", breach) for breach in feature_check.breaches]
    results += [("advice", breach) for breach in feature_check.advice]
    if not results:
        return [[feature_check.feature, "ok", *[""] * 6]]
    return [
        [feature_check.feature, result, breach.test, breach.symbol, breach.timestamp]
        + [_exact(breach.expected), _exact(breach.made), f"it {breach.meaning}"]
        for result, breach in results
    ]


def _exact(value: float | None) -> str | None:
    return None if value is None else repr(value)
