"""`mlengine monitor …`: the monitoring routes for the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import click

from mlengine.cli.context import (
    Output,
    asked_line,
    current_catalog,
    current_control,
    current_platform,
    current_settings,
    json_command,
    now,
)
from mlengine.cli.options import line_option, range_options
from mlengine.cli.output import format_cell, table
from mlengine.cli.overview import describe_alarm, describe_overview, describe_score
from mlengine.cli.performance import describe_performance
from mlengine.core.line_names import MODEL_LINE
from mlengine.core.monitoring.drift.windows import MODES, WINDOW_RULE, DriftWindow
from mlengine.core.monitoring.event import EVENT_KINDS

if TYPE_CHECKING:  # it loads Polars
    from mlengine.services.monitoring.drift import ModelDrift

_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
_WINDOWS = ("20", "60", "250", "1000")

monitor = click.Group("monitor", help="Show drift, freshness, latency and history.")


@monitor.command("status")
@line_option
@json_command
def status() -> Output:
    """Say whether anything speaks against the active model, in short."""
    found = current_platform().overview.overview(now=now())
    return Output(found, describe_overview(found))


@monitor.command("drift")
@click.option("--window", default="250", show_default=True, help="Newest bars, or days as 7d.")
@click.option("--version")
@click.option("--mode", default=MODES[0], show_default=True, type=click.Choice(MODES))
@line_option
@json_command
def drift(window: str, version: str | None, mode: str) -> Output:
    """Compare the newest distinct live bars with the model's training.

    Bars of the last minute may not be counted yet: see `monitor update`.
    """
    try:
        asked = DriftWindow.parse(window)
    except ValueError:
        raise click.BadParameter(f"must be {WINDOW_RULE}", param_hint="--window") from None
    from mlengine.bootstrap.drift import build_drift  # noqa: PLC0415 - Polars

    control, registry = current_control(), current_catalog().registry
    service = build_drift(current_settings(), control, registry)
    found = service.drift(window=asked, version=version, mode=mode, now=now())
    return Output(found, "\n".join(_drift_lines(found)))


def _drift_lines(found: ModelDrift) -> Iterator[str]:
    verdict = found.status if found.reason is None else f"{found.status} ({found.reason})"
    yield (
        f"{found.model_version}: {verdict}, {found.n_current} bars of {found.dates} dates "
        f"against {found.n_reference} rows of training"
    )
    if found.score is not None:
        yield describe_score(found.score, found.threshold, found.false_alarm_rate)
    if found.status == "insufficient_data":
        return
    yield f"alarm: {describe_alarm(found.alarm)}"
    prediction = [found.prediction_drift] if found.prediction_drift else []
    columns = ("feature", "score", "psi", "threshold", "ks", "drifted", "null_share")
    yield table(
        list(columns),
        [[getattr(f, name) for name in columns] for f in (*prediction, *found.features)],
    )
    if found.evidently is not None:
        names = ("feature", "psi", "ks_p_value", "wasserstein", "jensen_shannon")
        yield table(list(names), [[getattr(f, n) for n in names] for f in found.evidently])


@monitor.command("update")
@json_command
def update() -> Output:
    """Take in what has come, as the worker does by itself."""
    report = current_platform().updates_of_all_lines().run(now())
    if not report.ran:
        return Output(report, "another process is at it", exit_code=1)
    lines = table(
        ["step", "seconds", "failure", "next look"],
        [[s.name, s.seconds, s.failure, s.next_look] for s in report.steps],
    )
    return Output(report, lines, exit_code=int(report.has_failed))


@monitor.command("outcomes")
@click.option("--version")
@click.option("--window", default="250", show_default=True, type=click.Choice(_WINDOWS))
@click.option("--symbol")
@click.option("--group", help="Symbols of this calendar; none are those without one.")
@line_option
@json_command
def outcomes(version: str | None, window: str, symbol: str | None, group: str | None) -> Output:
    """Hold predictions against what happened."""
    answer = current_platform().performance.performance(
        version=version, window=int(window), symbol=symbol, group=group, now=now()
    )
    return Output(answer, describe_performance(answer))


@monitor.command("freshness")
@line_option
@json_command
def freshness() -> Output:
    """Show how old the bars, the model and the last prediction are."""
    from mlengine.bootstrap.freshness import build_freshness  # noqa: PLC0415 - Polars

    service = build_freshness(current_settings(), current_control())
    report = service.freshness(now=now())
    model = report.model
    lines = [
        f"model {model.version} of {format_cell(model.trained_at)}" if model else "no model",
        f"last prediction {format_cell(report.last_prediction_at)}",
        table(
            ["symbol", "last bar", "age in bars", "stale"],
            [
                [s.symbol, s.last_bar, s.age_bars, "unasked" if s.unasked else s.stale]
                for s in report.symbols
            ],
        ),
    ]
    return Output(report, "\n".join(lines))


@monitor.command("latency")
@click.option("--window", default=3600, show_default=True, type=click.IntRange(1, 30 * 86_400))
@json_command
def latency(window: int) -> Output:
    """Quantiles by route and stage over the last WINDOW seconds."""
    latencies = current_control().latencies.latency(window_seconds=window, now=now())
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
@range_options("What happened")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@click.option("--cursor", help="The next_cursor of an earlier page (--json).")
@click.option("--all-lines", is_flag=True, help="Of every model line, not of one.")
@line_option
@json_command
def history(
    kind: str | None,
    actor: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    cursor: str | None,
    all_lines: bool,
) -> Output:
    """Show trainings, activations and what else happened, newest first."""
    if all_lines and asked_line() != MODEL_LINE:
        raise click.UsageError("--model is of one line, --all-lines of every one")
    events = current_control().events
    page = events.page(
        kind, limit, cursor, actor=actor, since=since, until=until, all_lines=all_lines
    )
    names = ("at", *(("model",) if all_lines else ()), "kind", "version", "actor")
    rows = [
        [*(getattr(event, name) for name in names), _format_details(event.details)]
        for event in page.rows
    ]
    return Output(page, table([*names, "details"], rows))


def _format_details(details: Mapping[str, object]) -> str:
    """In one line; digests by their beginning, as in other tables."""
    text = ", ".join(f"{name}={format_cell(value)}" for name, value in _flatten(details))
    return _DIGEST.sub(lambda found: found[0][:12], text)


def _flatten(details: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """What is nested under dotted names, and nothing that is null."""
    for name, value in details.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{key}", nested) for key, nested in _flatten(value))
        elif value is not None:
            yield name, value
