"""`flask features …`: what the features are, their newest values, and whether they leak."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import click
from flask.cli import AppGroup

from mlengine.cli import shell
from mlengine.core.features import FeatureSet
from mlengine.core.features.catalogue import markdown, value_range
from mlengine.core.features.leaks.check import CheckReport, FeatureCheck

_SHOW = "show"


class SymbolFirst(AppGroup):
    """A group whose first word may also be a symbol, to show: `flask features AAPL`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `show` before anything that is no command of the group and no call for help."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [_SHOW, *args]
        return super().parse_args(ctx, args)


features = SymbolFirst(
    "features",
    help="The newest rows of a symbol (`flask features AAPL`); list, check.",
)


@features.command(_SHOW)
@click.argument("symbol")
@click.option("--limit", default=1, show_default=True, type=click.IntRange(1, 5000))
@click.option("--feature-set", help="A set other than the configured one.")
@shell.as_of
@shell.as_json
@shell.command
def show(
    symbol: str, limit: int, feature_set: str | None, as_of: datetime | None, json_: bool
) -> None:
    """Show the newest feature rows of SYMBOL, one column a row."""
    table = shell.platform().features.table(
        symbol, limit=limit, as_of=as_of, feature_set=feature_set, now=shell.now()
    )
    if json_:
        shell.print_json(table.rows.to_dicts())
        return
    stamps = [shell.shown(moment) for moment in table.rows["timestamp"]]
    columns = table.rows.drop("timestamp")
    shell.print_table(
        ["feature", *stamps], [[column.name, *column.to_list()] for column in columns]
    )


@features.command("list")
@click.option("--feature-set", help="Only this set.")
@click.option("--markdown", "markdown_", is_flag=True, help="Print the page docs/features.md.")
@shell.as_json
@shell.command
def list_(feature_set: str | None, markdown_: bool, json_: bool) -> None:
    """List every feature of every set with its declaration."""
    service = shell.platform().features
    known = service.feature_sets.values()
    sets = [service.feature_set(feature_set)] if feature_set else list(known)
    if markdown_:
        click.echo(markdown(sets), nl=False)
    elif json_:
        shell.print_json([_declaration(one) for one in sets])
    else:
        headers = ["set", "feature", "window", "look-back", "unit", "range", "source", "formula"]
        shell.print_table(headers, _lines(sets))


@features.command("check")
@click.argument("name")
@click.option(
    "--symbol", "symbols", multiple=True, help="Repeatable; by default those of trainings."
)
@click.option(
    "--bars", default=500, show_default=True, type=click.IntRange(0), help="A symbol; 0 = all."
)
@shell.as_json
@shell.command
def check(name: str, symbols: tuple[str, ...], bars: int, json_: bool) -> None:
    """Test feature set NAME for leaks and parity.

    On the newest bars of the upstream.
    Exits with 1 when a feature fails.
    """
    report = shell.platform().features.check(name, symbols=symbols, bars=bars, now=shell.now())
    if json_:
        shell.print_json({"ok": report.ok, **_plain(report)})
    else:
        _print(report)
    if not report.ok:
        raise SystemExit(1)


def _declaration(feature_set: FeatureSet) -> dict[str, object]:
    shown = ("name", "formula", "bars", "unit", "source", "low", "high", "scale_free", "doc")
    return {
        "name": feature_set.name,
        "version": feature_set.version,
        "hash": feature_set.hash,
        "window_bars": feature_set.window_bars,
        "features": [
            {name: getattr(feature, name) for name in shown} for feature in feature_set.features
        ],
    }


def _lines(sets: Iterable[FeatureSet]) -> list[list[object]]:
    return [
        [one.name, feature.name, one.window_bars, feature.bars, feature.unit]
        + [value_range(feature), feature.source, feature.formula]
        for one in sets
        for feature in one.features
    ]


def _plain(report: CheckReport) -> dict[str, object]:
    return {
        "feature_set": report.feature_set,
        "symbols": report.symbols,
        "rows": report.rows,
        "features": [
            {"feature": one.feature, "ok": one.ok, "breaches": one.breaches, "advice": one.advice}
            for one in report.features
        ],
    }


def _print(report: CheckReport) -> None:
    """A line a feature, or one for each test that it fails, with both values to the last bit."""
    headers = ["feature", "result", "test", "symbol", "row", "expected", "got", "what it means"]
    shell.print_table(headers, [row for verdict in report.features for row in _rows(verdict)])
    failing = sum(not verdict.ok for verdict in report.features)
    total, symbols = len(report.features), ", ".join(report.symbols)
    click.echo(f"{failing} of {total} features fail on {report.rows} bars of {symbols}")


def _rows(verdict: FeatureCheck) -> Sequence[Sequence[object]]:
    told = [("fails", breach) for breach in verdict.breaches]
    told += [("advice", breach) for breach in verdict.advice]
    if not told:
        return [[verdict.feature, "ok", *[""] * 6]]
    return [
        [verdict.feature, result, breach.test, breach.symbol, breach.timestamp]
        + [_exact(breach.expected), _exact(breach.made), f"it {breach.meaning}"]
        for result, breach in told
    ]


def _exact(value: float | None) -> str | None:
    return None if value is None else repr(value)
