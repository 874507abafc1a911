"""`mlengine hooks`: who is told of what happens, by webhooks."""

from __future__ import annotations

import secrets
from datetime import datetime

import click

from mlengine.cli.context import Output, actor, current_control, json_command, now
from mlengine.cli.options import Timestamp
from mlengine.cli.output import table
from mlengine.core.hooks.signature import SECRET_BYTES, new_hook_id
from mlengine.core.monitoring.messages import ALL_TYPES, is_type_or_family


class EventTypes(click.ParamType[tuple[str, ...]]):
    """Types of events, or families such as `model.*`, with commas between them."""

    name = "types"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        types = tuple(part.strip() for part in str(value).split(","))
        for each in types:
            if not is_type_or_family(each):
                self.fail(f"{each!r} is none of {', '.join(ALL_TYPES)}", param, ctx)
        return types


@click.group()
def hooks() -> None:
    """Tell others what happens, by webhooks.

    Messages are signed as Standard Webhooks says. The worker delivers them, and tries again for
    three days.
    """


@hooks.command("add")
@click.argument("url")
@click.option("--events", type=EventTypes(), help="Types, by commas; else all of them.")
@json_command
def add(url: str, events: tuple[str, ...] | None) -> Output:
    """Send events to URL; prints the hook and its secret, this once."""
    hook = current_control().hooks.add(
        url,
        events or (),
        hook_id=new_hook_id(secrets.token_bytes),
        secret=secrets.token_bytes(SECRET_BYTES),
        actor=actor(),
        now=now(),
    )
    return Output(hook, f"{hook.id} {hook.secret}")


@hooks.command("list")
@json_command
def list_hooks() -> Output:
    """List the hooks, and what became of their messages."""
    listed = current_control().hooks.list()
    rows = [
        [
            *(each.id, each.host, ",".join(each.events) or "all"),
            "disabled" if each.disabled_at else "enabled",
            *(each.pending, each.delivered, each.failed),
        ]
        for each in listed
    ]
    head = ["hook", "host", "events", "state", "pending", "delivered", "failed"]
    return Output(listed, table(head, rows))


@hooks.command("test")
@click.argument("hook")
@json_command
def test(hook: str) -> Output:
    """Send HOOK a message of type hook.test, and show what it answers.

    A hook that was disabled is enabled again once it takes one.
    """
    control = current_control()
    seq = control.hooks.send_test(hook, actor=actor(), now=now())
    answer = control.hook_deliveries.deliver_message(hook, seq)
    if answer is None:  # a worker was quicker
        return Output({"hook": hook, "status": None}, f"{hook}: a worker delivers it")
    document = {"hook": hook, "status": answer.status, "reason": answer.reason or None}
    said = f"answered {answer.status}" if answer.status else answer.reason
    return Output(document, f"{hook}: {said}", exit_code=0 if answer.is_success else 1)


@hooks.command("redeliver")
@click.argument("hook")
@click.option("--message", help="This one, by its webhook-id, also where it was delivered.")
@click.option(
    "--since", type=Timestamp(), help="With what it missed from then on, while it was disabled."
)
@json_command
def redeliver(hook: str, message: str | None, since: datetime | None) -> Output:
    """Let the worker send again what HOOK did not get in all attempts."""
    again = current_control().hooks.redeliver(hook, message=message, since=since, now=now())
    return Output(again, f"{hook}: {again.messages} messages")


@hooks.command("rotate")
@click.argument("hook")
@json_command
def rotate(hook: str) -> Output:
    """Print a new secret for HOOK, this once.

    For a day the old one signs, too.
    """
    secret = secrets.token_bytes(SECRET_BYTES)
    rotated = current_control().hooks.rotate(hook, secret=secret, actor=actor(), now=now())
    return Output(rotated, rotated.secret)


@hooks.command("remove")
@click.argument("hook")
@json_command
def remove(hook: str) -> Output:
    """Send HOOK nothing more, not even what is pending."""
    current_control().hooks.remove(hook, actor=actor(), now=now())
    return Output({"hook": hook, "removed": True}, f"{hook} is removed")
