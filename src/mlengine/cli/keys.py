"""`mlengine keys`: who may do what over HTTP."""

from __future__ import annotations

import re
import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

import click

from mlengine.cli.context import Output, current_settings, json_command, now
from mlengine.cli.options import Timestamp
from mlengine.cli.output import table
from mlengine.core.keys import (
    KEY_NAME_RULE,
    SALT_BYTES,
    SCOPES,
    SECRET_BYTES,
    Scope,
    is_key_name,
)

if TYPE_CHECKING:
    from mlengine.services.keys.named_keys import NamedKeys

_DAYS = re.compile(r"([1-9][0-9]{0,4})d")


class KeyName(click.ParamType[str]):
    """See KEY_NAME_RULE."""

    name = "name"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        if not is_key_name(str(value)):
            self.fail(f"a name has {KEY_NAME_RULE}", param, ctx)  # it may be a key by mistake
        return str(value)


class ScopeList(click.ParamType[tuple[Scope, ...]]):
    """Scopes with commas between them."""

    name = "scopes"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Scope, ...]:
        scopes = [part.strip() for part in str(value).split(",")]
        for scope in scopes:
            if scope not in SCOPES:
                self.fail(f"{scope!r} is none of {', '.join(SCOPES)}", param, ctx)
        return cast("tuple[Scope, ...]", tuple(scopes))


class Expiry(click.ParamType[datetime]):
    """`90d` from now on, or a moment to come."""

    name = "expiry"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if days := _DAYS.fullmatch(str(value)):
            return now() + timedelta(days=int(days[1]))
        moment = Timestamp().convert(value, param, ctx)
        if moment <= now():
            self.fail(f"{value!r} is past", param, ctx)
        return moment


@click.group()
def keys() -> None:
    """Add, list and revoke named keys of the HTTP API.

    They stand as hashes in the file that API_KEYS_FILE names. A running platform heeds a change
    with its next request.
    """


@keys.command("add")
@click.argument("name", type=KeyName())
@click.option(
    "--scopes", required=True, type=ScopeList(), help=f"Some of {','.join(SCOPES)}, by commas."
)
@click.option("--expires", type=Expiry(), help="Days from now (90d) or a date; else never.")
@json_command
def add(name: str, scopes: tuple[Scope, ...], expires: datetime | None) -> Output:
    """Make a key for NAME and print it, this once."""
    key = _named_keys().add(
        name,
        scopes,
        secret=secrets.token_urlsafe(SECRET_BYTES),
        salt=secrets.token_hex(SALT_BYTES),
        now=now(),
        expires_at=expires,
    )
    return Output({"name": name, "key": key, "expires_at": expires}, key)


@keys.command("list")
@json_command
def list_keys() -> Output:
    """List the keys: what each may do, and until when."""
    at = now()
    listed = [
        {
            "name": name,
            "state": key.state(at),
            "scopes": key.scopes,
            "created_at": key.created_at,
            "expires_at": key.expires_at,
            "revoked_at": key.revoked_at,
        }
        for name, key in sorted(_named_keys().list().items())
    ]
    rows = [[*each.values()] for each in listed]
    for row in rows:
        row[2] = ",".join(cast("tuple[str, ...]", row[2]))
    return Output(listed, table(["name", "state", "scopes", "created", "expires", "revoked"], rows))


@keys.command("revoke")
@click.argument("name", type=KeyName())
@json_command
def revoke(name: str) -> Output:
    """Let the key of NAME open nothing from now on."""
    was_valid = _named_keys().revoke(name, now=now())
    said = "is revoked" if was_valid else "was revoked before"
    return Output({"name": name, "revoked": was_valid}, f"{name} {said}")


def _named_keys() -> NamedKeys:
    from mlengine.bootstrap.keys import build_named_keys  # noqa: PLC0415 - the stores

    return build_named_keys(current_settings())
