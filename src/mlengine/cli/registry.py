"""`mlengine models verify`, `prune`, `pin` and `unpin`: the registry's maintenance."""

from __future__ import annotations

import click

from mlengine.cli.context import actor, current_platform, now, platform_command
from mlengine.cli.options import json_option
from mlengine.cli.output import print_json, print_result, print_table
from mlengine.services.models.maintenance import IntegrityReport


@click.command("verify")
@click.argument("version", required=False)
@json_option
@platform_command
def verify(version: str | None, json_: bool) -> None:
    """Check the digests of VERSION, or of all.

    Of all also what stands beside them.
    Exits with 1 when something is not as it was published.
    """
    integrity = current_platform().maintenance.verify(version)
    print_json(integrity) if json_ else _print(integrity)
    if not integrity.intact:
        raise SystemExit(1)


@click.command("prune")
@click.option("--keep", required=True, type=click.IntRange(min=1), help="How many newest stay.")
@click.option("--force", is_flag=True, help="Also remove what audited predictions refer to.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@json_option
@platform_command
def prune(keep: int, force: bool, dry_run: bool, json_: bool) -> None:
    """Remove old versions.

    Never the active, the previous or a pinned one, nor the newest.
    """
    decisions = current_platform().maintenance.prune(
        keep=keep, force=force, dry_run=dry_run, actor=actor(), now=now()
    )
    if json_:
        print_json(decisions)
        return
    removed = "would be removed" if dry_run else "removed"
    print_table(
        ["version", "what becomes of it"],
        [
            [each.version, removed if each.kept_as is None else f"kept: {each.kept_as}"]
            for each in decisions
        ],
    )


@click.command("pin")
@click.argument("version")
@click.option("--reason", default="by hand", show_default=True)
@json_option
@platform_command
def pin(version: str, reason: str, json_: bool) -> None:
    """Keep VERSION, whatever is pruned."""
    current_platform().maintenance.pin(version, actor=actor(), reason=reason, now=now())
    print_result({"version": version, "pinned": True}, f"{version} is pinned", as_json=json_)


@click.command("unpin")
@click.argument("version")
@json_option
@platform_command
def unpin(version: str, json_: bool) -> None:
    """Let VERSION be pruned again."""
    was_pinned = current_platform().maintenance.unpin(version, actor=actor(), now=now())
    print_result(
        {"version": version, "pinned": False, "was_pinned": was_pinned},
        f"{version} {'is no longer' if was_pinned else 'was not'} pinned",
        as_json=json_,
    )


def _print(integrity: IntegrityReport) -> None:
    print_table(
        ["version", "intact", "reason"],
        [[v.version, v.intact, v.reason] for v in integrity.versions],
    )
    for problem in integrity.problems:
        click.echo(problem)
    if integrity.orphans is None:
        click.echo("half-written folders were not looked at: the runs can't be read")
    for run_id in integrity.orphans or ():
        click.echo(f"run {run_id} left a half-written folder; the worker clears it away")
