"""`mlengine models verify`, `prune`, `pin` and `unpin`: the registry's maintenance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlengine.cli.context import Output, actor, current_control, current_platform, json_command, now
from mlengine.cli.options import line_option
from mlengine.cli.output import table

if TYPE_CHECKING:
    from mlengine.services.models.integrity import IntegrityReport


@click.command("verify")
@click.argument("version", required=False)
@line_option
@json_command
def verify(version: str | None) -> Output:
    """Check the digests of VERSION, or of all.

    Of all also what stands beside them.
    Exits with 1 when something is not as it was published.
    """
    integrity = current_control().integrity.verify(version)
    return Output(integrity, _integrity_text(integrity), exit_code=0 if integrity.intact else 1)


@click.command("prune")
@click.option("--keep", required=True, type=click.IntRange(min=1), help="How many newest stay.")
@click.option("--force", is_flag=True, help="Also remove what audited predictions refer to.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@line_option
@json_command
def prune(keep: int, force: bool, dry_run: bool) -> Output:
    """Remove old versions.

    Never the active, the previous or a pinned one, nor the newest.
    """
    decisions = current_platform().maintenance.prune(
        keep=keep, force=force, dry_run=dry_run, actor=actor(), now=now()
    )
    removed = "would be removed" if dry_run else "removed"
    rows = [
        [each.version, removed if each.kept_as is None else f"kept: {each.kept_as}"]
        for each in decisions
    ]
    return Output(decisions, table(["version", "what becomes of it"], rows))


@click.command("pin")
@click.argument("version")
@click.option("--reason", default="by hand", show_default=True)
@line_option
@json_command
def pin(version: str, reason: str) -> Output:
    """Keep VERSION, whatever is pruned."""
    current_platform().maintenance.pin(version, actor=actor(), reason=reason, now=now())
    return Output({"version": version, "pinned": True}, f"{version} is pinned")


@click.command("unpin")
@click.argument("version")
@line_option
@json_command
def unpin(version: str) -> Output:
    """Let VERSION be pruned again."""
    was_pinned = current_platform().maintenance.unpin(version, actor=actor(), now=now())
    return Output(
        {"version": version, "pinned": False, "was_pinned": was_pinned},
        f"{version} {'is no longer' if was_pinned else 'was not'} pinned",
    )


def _integrity_text(integrity: IntegrityReport) -> str:
    versions = [[v.version, v.intact, v.reason] for v in integrity.versions]
    lines = [table(["version", "intact", "reason"], versions), *integrity.problems]
    if integrity.orphans is None:
        lines.append("half-written folders were not looked at: the runs can't be read")
    lines += [
        f"run {run_id} left a half-written folder; the worker clears it away"
        for run_id in integrity.orphans or ()
    ]
    return "\n".join(lines)
