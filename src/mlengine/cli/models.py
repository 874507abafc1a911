"""`mlengine models …`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlengine.cli.comparison import comparison_text
from mlengine.cli.context import Output, actor, current_catalog, current_platform, json_command, now
from mlengine.cli.options import line_option
from mlengine.cli.output import format_cell, table
from mlengine.cli.registry import pin, prune, unpin, verify
from mlengine.cli.reproduce import card, reproduce
from mlengine.core.evaluation import MetricEstimate, SignRule

if TYPE_CHECKING:
    from mlengine.core.versions.manifest import Manifest

models = click.Group("models", help="List, show, verify and activate model versions.")
for command in (card, pin, prune, reproduce, unpin, verify):
    models.add_command(command)


@models.command("list")
@line_option
@json_command
def list_models() -> Output:
    """List every version, the active one marked."""
    listing = current_catalog().list()
    return Output(
        listing,
        table(
            ["version", "status", "pinned", "created", "trained through", "fingerprint"],
            [
                [m.version, m.status, m.pinned, m.created_at, m.trained_through]
                + [(m.fingerprint or "-")[:12]]
                for m in listing.models
            ],
        ),
    )


@models.command("show")
@click.argument("version")
@line_option
@json_command
def show(version: str) -> Output:
    """Show how VERSION came to be; --json prints its whole manifest."""
    manifest, is_active = current_catalog().get(version)
    summary = table(["what", "value"], _summary_rows(manifest, is_active))
    metrics = table(
        ["metric on the holdout", "value", "low", "high", "baseline", "which", "reason"],
        [
            [name, m.value, m.low, m.high, m.baseline, m.baseline_kind, m.reason]
            for name, m in _estimates(manifest).items()
        ],
    )
    said = {"reproducible": manifest.reproducible, "is_active": is_active}
    return Output({**manifest.to_dict(), **said}, f"{summary}\n\n{metrics}")


@models.command("compare")
@click.argument("a")
@click.argument("b")
@line_option
@json_command
def compare(a: str, b: str) -> Output:
    """Compare version A with B.

    On rows that neither had seen, and in their recipes.
    """
    comparison = current_platform().models.compare(a, b)
    return Output(comparison, comparison_text(comparison))


@models.command("activate")
@click.argument("version")
@click.option("--reason", default="by hand", show_default=True)
@line_option
@json_command
def activate(version: str, reason: str) -> Output:
    """Serve VERSION from now on, in every worker.

    Where ACTIVATION_APPROVALS is on, ask for it, or confirm what another asked for.
    """
    from mlengine.services.models.service import PendingActivation  # noqa: PLC0415 - LightGBM

    models, by = current_platform().models, actor()
    change = models.request_activation(version, actor=by, reason=reason, now=now())
    if isinstance(change, PendingActivation):
        return Output(change, f"{version} waits for another to confirm it (asked by {by})")
    return Output(
        change,
        f"{change.active_version} is active (before: {format_cell(change.previous_version)})",
    )


@models.command("rollback")
@line_option
@json_command
def rollback() -> Output:
    """Serve what was active before."""
    change = current_platform().models.rollback(actor=actor(), now=now())
    return Output(
        change,
        f"{change.active_version} is active again (before: {format_cell(change.previous_version)})",
    )


def _format_sign_rule(rule: SignRule) -> str:
    """Means a bar, in basis points."""
    if rule.net_return is None or rule.buy_and_hold is None:
        return "-"
    net, buy_and_hold = 1e4 * rule.net_return, 1e4 * rule.buy_and_hold
    return f"{net:+.2f} bp a bar after costs, buy and hold {buy_and_hold:+.2f}"


def _estimates(manifest: Manifest) -> dict[str, MetricEstimate]:
    """The metrics and, where forecasts are probabilities, how well these are calibrated."""
    calibration = manifest.calibration
    if calibration is None:
        return dict(manifest.metrics)
    slope, intercept = calibration.slope, calibration.intercept
    return {
        **manifest.metrics,
        "calibration_slope": slope,
        "calibration_intercept": intercept,
    }


def _summary_rows(manifest: Manifest, is_active: bool) -> list[list[object]]:
    """What a person asks first."""
    data, verdict = manifest.data, manifest.verdict
    skipped: list[list[object]] = [
        ["skipped", f"{each.symbol}: {each.reason}"] for each in data.skipped_symbols
    ]
    return [
        ["version", manifest.version],
        ["active", is_active],
        ["created", manifest.created_at],
        ["by", manifest.actor],
        ["objective", f"{manifest.objective} over {manifest.horizon_bars} bars"],
        ["feature set", f"{manifest.feature_set.name} {manifest.feature_set.hash[:12]}"],
        ["symbols", ", ".join(data.symbols)],
        *skipped,
        [
            "bars",
            f"{data.rows} of {manifest.interval}, {data.start:%Y-%m-%d} to {data.end:%Y-%m-%d}",
        ],
        ["trained through", manifest.trained_through],
        ["trees", manifest.best_iteration],
        ["verdict", f"{verdict.verdict} by {verdict.metric}"],
        ["earlier versions on this holdout", manifest.holdout_reused_by],
        ["sign rule", _format_sign_rule(manifest.sign_rule)],
        ["gate", manifest.gate.reason],
        ["fingerprint", manifest.fingerprint],
        ["reproducible", manifest.reproducible],
        ["remarks", "; ".join(manifest.remarks) or None],
    ]
