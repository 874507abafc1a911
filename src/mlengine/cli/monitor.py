"""`mlengine monitor …`: the monitoring routes for the terminal."""

from collections.abc import Iterator, Mapping
from datetime import datetime

import click

from mlengine.cli.context import Output, current_control, current_platform, json_command, now
from mlengine.cli.options import Timestamp
from mlengine.cli.output import format_cell, table
from mlengine.core.monitoring.event import EVENT_KINDS

monitor = click.Group("monitor", help="Show drift, freshness, latency and history.")


@monitor.command("drift")
@click.option("--window", default=250, show_default=True, type=click.IntRange(1, 100_000))
@click.option("--version")
@json_command
def drift(window: int, version: str | None) -> Output:
    """Compare the newest distinct bars with the model's reference."""
    report = current_platform().monitoring.drift(window=window, version=version, now=now())
    summary = (
        f"{report.model_version}: {report.status}, {report.n_current} bars "
        f"against {report.n_reference} rows of reference"
    )
    if report.status == "insufficient_data":
        return Output(report, summary)
    prediction = [report.prediction_drift] if report.prediction_drift else []
    figures = table(
        ["feature", "psi", "ks", "threshold", "drifted"],
        [[f.feature, f.psi, f.ks, f.threshold, f.drifted] for f in (*prediction, *report.features)],
    )
    return Output(report, f"{summary}\n{figures}")


@monitor.command("update")
@json_command
def update() -> Output:
    """Take in what has come, as the worker does by itself."""
    report = current_platform().monitoring_updates.run(now())
    if not report.ran:
        return Output(report, "another process is at it", exit_code=1)
    lines = table(
        ["step", "seconds", "failure", "next look"],
        [[s.name, s.seconds, s.failure, s.next_look] for s in report.steps],
    )
    return Output(report, lines, exit_code=int(report.has_failed))


@monitor.command("freshness")
@json_command
def freshness() -> Output:
    """Show how old the bars, the model and the last prediction are."""
    report = current_platform().monitoring.freshness(now=now())
    model = report.model
    lines = [
        f"model {model.version} of {format_cell(model.trained_at)}" if model else "no model",
        f"last prediction {format_cell(report.last_prediction_at)}",
        table(
            ["symbol", "last bar", "age in bars", "stale"],
            [[s.symbol, s.last_bar, s.age_bars, s.stale] for s in report.symbols],
        ),
    ]
    return Output(report, "\n".join(lines))


@monitor.command("latency")
@click.option("--window", default=3600, show_default=True, type=click.IntRange(1, 30 * 86_400))
@json_command
def latency(window: int) -> Output:
    """Quantiles by route and stage over the last WINDOW seconds."""
    latencies = current_platform().monitoring.latency(window_seconds=window, now=now())
    return Output(
        latencies,
        table(
            ["route", "stage", "count", "p50 ms", "p90 ms", "p99 ms", "max ms", "error rate"],
            [
                [r.route, r.stage, r.count, r.p50_ms, r.p90_ms, r.p99_ms, r.max_ms, r.error_rate]
                for r in latencies.routes
            ],
        ),
    )


@monitor.command("history")
@click.option("--kind", type=click.Choice(EVENT_KINDS), metavar="KIND")
@click.option("--actor", help="Who did it.")
@click.option("--since", type=Timestamp(), help="From then on.")
@click.option("--until", type=Timestamp(), help="Before then.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@click.option("--cursor", help="The next_cursor of an earlier page (--json).")
@json_command
def history(
    kind: str | None,
    actor: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    cursor: str | None,
) -> Output:
    """Show trainings, activations and what else happened, newest first."""
    events = current_control().events
    page = events.page(kind, limit, cursor, actor=actor, since=since, until=until)
    return Output(
        page,
        table(
            ["at", "kind", "version", "actor", "details"],
            [
                [event.at, event.kind, event.version, event.actor, _format_details(event.details)]
                for event in page.rows
            ],
        ),
    )


def _format_details(details: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={format_cell(value)}" for name, value in _flatten(details))


def _flatten(details: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """What is nested under dotted names, and nothing that is null."""
    for name, value in details.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{key}", nested) for key, nested in _flatten(value))
        elif value is not None:
            yield name, value
