"""`flask models verify`, `prune`, `pin` and `unpin`: the registry's upkeep."""

from __future__ import annotations

import click

from mlengine.cli import shell
from mlengine.core.versions.pruning import PruneDecision
from mlengine.services.models.maintenance import IntegrityReport


@click.command("verify")
@click.argument("version", required=False)
@shell.as_json
@shell.command
def verify(version: str | None, json_: bool) -> None:
    """Check the digests of VERSION, or of all.

    Of all also what stands beside them.
    Exits with 1 when something is not as it was published.
    """
    found = shell.platform().maintenance.verify(version)
    if json_:
        shell.print_json(found)
    else:
        _print(found)
    if not found.intact:
        raise SystemExit(1)


@click.command("prune")
@click.option("--keep", required=True, type=click.IntRange(min=1), help="How many newest stay.")
@click.option("--force", is_flag=True, help="Also remove what audited predictions refer to.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@shell.as_json
@shell.command
def prune(keep: int, force: bool, dry_run: bool, json_: bool) -> None:
    """Remove old versions.

    Never the active, the previous or a pinned one, nor the newest.
    """
    found = shell.platform().maintenance.prune(
        keep=keep, force=force, dry_run=dry_run, actor=shell.actor(), now=shell.now()
    )
    if json_:
        shell.print_json(found)
        return
    gone = "would be removed" if dry_run else "removed"
    shell.print_table(
        ["version", "what becomes of it"], [[f.version, _said(f, gone)] for f in found]
    )


@click.command("pin")
@click.argument("version")
@click.option("--reason", default="by hand", show_default=True)
@shell.as_json
@shell.command
def pin(version: str, reason: str, json_: bool) -> None:
    """Keep VERSION, whatever is pruned."""
    shell.platform().maintenance.pin(version, actor=shell.actor(), reason=reason, now=shell.now())
    _done({"version": version, "pinned": True}, f"{version} is pinned", json_)


@click.command("unpin")
@click.argument("version")
@shell.as_json
@shell.command
def unpin(version: str, json_: bool) -> None:
    """Let VERSION be pruned again."""
    was = shell.platform().maintenance.unpin(version, actor=shell.actor(), now=shell.now())
    said = f"{version} is no longer pinned" if was else f"{version} was not pinned"
    _done({"version": version, "pinned": False, "was_pinned": was}, said, json_)


def _done(facts: dict[str, object], said: str, json_: bool) -> None:
    shell.print_json(facts) if json_ else click.echo(said)


def _said(fate: PruneDecision, gone: str) -> str:
    return gone if fate.kept_as is None else f"kept: {fate.kept_as}"


def _print(found: IntegrityReport) -> None:
    shell.print_table(
        ["version", "intact", "reason"], [[v.version, v.intact, v.reason] for v in found.versions]
    )
    for problem in found.problems:
        click.echo(problem)
    if found.orphans is None:
        click.echo("half-written folders were not looked at: the runs can't be read")
    for run_id in found.orphans or ():
        click.echo(f"run {run_id} left a half-written folder; the worker clears it away")


COMMANDS = (verify, prune, pin, unpin)
