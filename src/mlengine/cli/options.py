"""Options that several commands take."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mlengine.cli.context import ask_line, now
from mlengine.core.bars.symbols import SYMBOL_RULE, is_symbol
from mlengine.core.timestamps import parse_rfc3339, range_refusal

if TYPE_CHECKING:
    from mlengine.services.bars.service import BarService

Command = TypeVar("Command", bound=Callable[..., Any])

_DATE_LENGTH = len("2013-02-01")


class Timestamp(click.ParamType[datetime]):
    """RFC 3339 with a zone, or a bare date, which means the beginning of that day."""

    name = "timestamp"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        text = str(value)
        try:
            return parse_rfc3339(f"{text}T00:00Z" if len(text) == _DATE_LENGTH else text)
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is no date and no RFC 3339 timestamp with a zone", param, ctx)


class AsOfParam(click.ParamType[date]):
    """RFC 3339 with a zone, or the date of a session; the future is refused."""

    name = "timestamp"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> date:
        timestamp = Timestamp().convert(value, param, ctx)
        if timestamp > now():
            self.fail(f"{value!r} lies in the future", param, ctx)
        return timestamp.date() if len(str(value)) == _DATE_LENGTH else timestamp


def as_of_moment(bars: BarService, symbol: str, as_of: date | None) -> datetime | None:
    """The moment of `--as-of`: that of a bare date is the end of the session in its market."""
    from mlengine.services.bars.session_end import session_end  # noqa: PLC0415 - Polars

    if as_of is None or isinstance(as_of, datetime):
        return as_of
    return session_end(bars, symbol, as_of, now=now())


class SymbolName(click.ParamType[str]):
    """See `is_symbol`."""

    name = "symbol"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        text = str(value)
        if not is_symbol(text):
            self.fail(f"{text!r} is not {SYMBOL_RULE}", param, ctx)
        return text


def _in_order(
    ctx: click.Context, param: click.Parameter, value: datetime | None
) -> datetime | None:
    """Whichever of the two is read last knows both."""
    bounds = {"since": None, "until": None, **ctx.params, str(param.name): value}
    if reason := range_refusal(bounds["since"], bounds["until"]):
        raise click.BadParameter(reason, ctx, param_hint="--since")
    return value


def range_options(things: str) -> Callable[[Command], Command]:
    """`--since` and `--until`, in this order, of these things."""

    def decorate(command: Command) -> Command:
        for name, when in (("--until", "before then"), ("--since", "from then on")):
            text = f"{things} {when}."
            command = click.option(name, type=Timestamp(), callback=_in_order, help=text)(command)
        return command

    return decorate


parquet_option = click.option(
    "--parquet",
    "path",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write; one that is there is replaced.",
)
line_option = click.option(
    "--model",
    metavar="LINE",
    expose_value=False,
    is_eager=True,
    callback=ask_line,
    help="The model line; main without it.",
)
as_of_option = click.option("--as-of", type=AsOfParam(), help="Only bars known then.")
