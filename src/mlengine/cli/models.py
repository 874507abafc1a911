"""`flask models …` and `flask reload`."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from mlengine.cli import shell
from mlengine.cli.comparison import print_comparison
from mlengine.core.evaluation import Measure, SignRule
from mlengine.core.versions.manifest import Manifest

models = AppGroup("models", help="List, show, verify and activate model versions.")


@models.command("list")
@shell.as_json
@shell.command
def list_models(json_: bool) -> None:
    """List every version, the active one marked."""
    found = shell.platform().models.list()
    if json_:
        shell.print_json(found)
        return
    shell.print_table(
        ["version", "status", "pinned", "created", "trained through", "fingerprint"],
        [
            [m.version, m.status, m.pinned, m.created_at, m.trained_through]
            + [(m.fingerprint or "-")[:12]]
            for m in found.models
        ],
    )


@models.command("show")
@click.argument("version")
@shell.as_json
@shell.command
def show(version: str, json_: bool) -> None:
    """Show how VERSION came to be; --json prints its whole manifest."""
    manifest, is_active = shell.platform().models.get(version)
    if json_:
        shell.print_json({**manifest.to_dict(), "is_active": is_active})
        return
    shell.print_table(["what", "value"], _facts(manifest, is_active))
    click.echo()
    shell.print_table(
        ["metric on the holdout", "value", "low", "high", "baseline", "which", "reason"],
        [
            [name, m.value, m.low, m.high, m.baseline, m.baseline_kind, m.reason]
            for name, m in _measures(manifest).items()
        ],
    )


@models.command("compare")
@click.argument("a")
@click.argument("b")
@shell.as_json
@shell.command
def compare(a: str, b: str, json_: bool) -> None:
    """Compare version A with B.

    On rows that neither had seen, and in their recipes.
    """
    found = shell.platform().models.compare(a, b)
    if json_:
        shell.print_json(found)
        return
    print_comparison(found)


@models.command("activate")
@click.argument("version")
@click.option("--reason", default="by hand", show_default=True)
@shell.as_json
@shell.command
def activate(version: str, reason: str, json_: bool) -> None:
    """Serve VERSION from now on, in every worker."""
    done = shell.platform().models.activate(
        version, actor=shell.actor(), reason=reason, now=shell.now()
    )
    shell.print_json(done) if json_ else click.echo(
        f"{done.active_version} is active (before: {shell.shown(done.previous_version)})"
    )


@models.command("rollback")
@shell.as_json
@shell.command
def rollback(json_: bool) -> None:
    """Serve what was active before."""
    done = shell.platform().models.rollback(actor=shell.actor(), now=shell.now())
    shell.print_json(done) if json_ else click.echo(
        f"{done.active_version} is active again (before: {shell.shown(done.previous_version)})"
    )


@click.command("reload")
@shell.as_json
@shell.command
def reload_model(json_: bool) -> None:
    """Load and verify the active version again, in every worker."""
    loaded = shell.platform().models.reload(actor=shell.actor(), now=shell.now())
    shell.print_json({"loaded_version": loaded.version}) if json_ else click.echo(
        f"{loaded.version} loaded and verified"
    )


def _per_bar(rule: SignRule) -> str:
    """Means a bar, in basis points."""
    if rule.net_return is None or rule.buy_and_hold is None:
        return "-"
    net, held = 1e4 * rule.net_return, 1e4 * rule.buy_and_hold
    return f"{net:+.2f} bp a bar after costs, buy and hold {held:+.2f}"


def _measures(manifest: Manifest) -> dict[str, Measure]:
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


def _facts(manifest: Manifest, is_active: bool) -> list[list[object]]:
    """What a person asks first."""
    data, verdict = manifest.data, manifest.verdict
    return [
        ["version", manifest.version],
        ["active", is_active],
        ["created", manifest.created_at],
        ["by", manifest.actor],
        ["objective", f"{manifest.objective} over {manifest.horizon_bars} bars"],
        ["feature set", f"{manifest.feature_set.name} {manifest.feature_set.hash[:12]}"],
        ["symbols", ", ".join(data.symbols)],
        [
            "bars",
            f"{data.rows} of {manifest.interval}, {data.start:%Y-%m-%d} to {data.end:%Y-%m-%d}",
        ],
        ["trained through", manifest.trained_through],
        ["trees", manifest.best_iteration],
        ["verdict", f"{verdict.verdict} by {verdict.metric}"],
        ["earlier versions on this holdout", manifest.holdout_reused_by],
        ["sign rule", _per_bar(manifest.sign_rule)],
        ["gate", manifest.gate.reason],
        ["fingerprint", manifest.fingerprint],
        ["remarks", "; ".join(manifest.remarks) or None],
    ]
