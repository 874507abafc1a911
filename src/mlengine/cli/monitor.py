"""`flask monitor …`: the monitoring routes for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import click
from flask.cli import AppGroup

from mlengine.cli import shell
from mlengine.core.monitoring.event import EVENT_KINDS

monitor = AppGroup("monitor", help="Drift, freshness, latency and history.")


@monitor.command("drift")
@click.option("--window", default=250, show_default=True, type=click.IntRange(1, 100_000))
@click.option("--version")
@shell.as_json
@shell.command
def drift(window: int, version: str | None, json_: bool) -> None:
    """Compare the newest distinct bars with the model's reference."""
    found = shell.platform().monitoring.drift(window=window, version=version, now=shell.now())
    if json_:
        shell.print_json(found)
        return
    click.echo(
        f"{found.model_version}: {found.status}, {found.n_current} bars "
        f"against {found.n_reference} rows of reference"
    )
    if found.status == "insufficient_data":
        return
    prediction = [found.prediction_drift] if found.prediction_drift else []
    shell.print_table(
        ["feature", "psi", "ks", "threshold", "drifted"],
        [[f.feature, f.psi, f.ks, f.threshold, f.drifted] for f in (*prediction, *found.features)],
    )


@monitor.command("freshness")
@shell.as_json
@shell.command
def freshness(json_: bool) -> None:
    """How old the bars, the model and the last prediction are."""
    found = shell.platform().monitoring.freshness(now=shell.now())
    if json_:
        shell.print_json(found)
        return
    model = found.model
    click.echo(f"model {model.version} of {shell.shown(model.trained_at)}" if model else "no model")
    click.echo(f"last prediction {shell.shown(found.last_prediction_at)}")
    shell.print_table(
        ["symbol", "last bar", "age in bars", "stale"],
        [[s.symbol, s.last_bar, s.age_bars, s.stale] for s in found.symbols],
    )


@monitor.command("latency")
@click.option("--window", default=3600, show_default=True, type=click.IntRange(1, 30 * 86_400))
@shell.as_json
@shell.command
def latency(window: int, json_: bool) -> None:
    """Quantiles by route and stage over the last WINDOW seconds."""
    found = shell.platform().monitoring.latency(window_seconds=window, now=shell.now())
    if json_:
        shell.print_json(found)
        return
    shell.print_table(
        ["route", "stage", "count", "p50 ms", "p90 ms", "p99 ms", "max ms", "error rate"],
        [
            [r.route, r.stage, r.count, r.p50_ms, r.p90_ms, r.p99_ms, r.max_ms, r.error_rate]
            for r in found.routes
        ],
    )


@monitor.command("history")
@click.option("--kind", type=click.Choice(EVENT_KINDS), metavar="KIND")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@shell.as_json
@shell.command
def history(kind: str | None, limit: int, json_: bool) -> None:
    """Show trainings, activations and what else happened."""
    page = shell.platform().monitoring.history(kind=kind, limit=limit, cursor=None)
    if json_:
        shell.print_json(page)
        return
    shell.print_table(
        ["at", "kind", "version", "actor", "details"],
        [
            [event.at, event.kind, event.version, event.actor, _facts(event.details)]
            for event in page.rows
        ],
    )


def _facts(details: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={shell.shown(value)}" for name, value in _flat(details))


def _flat(details: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """What is nested under dotted names, and nothing that is null."""
    for name, value in details.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{below}", one) for below, one in _flat(value))
        elif value is not None:
            yield name, value
