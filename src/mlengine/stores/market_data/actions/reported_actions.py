"""One action as its source writes it, and all of a symbol together."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

from mlengine.core.actions.actions import StatedAction
from mlengine.core.actions.kinds import DIVIDEND, KINDS, SYMBOL_CHANGE
from mlengine.core.bars.symbols import SYMBOL_RULE, is_symbol
from mlengine.stores.market_data.candles import parse_number

COLUMNS = ("symbol", "date", "kind", "value", "announced", "new_symbol")

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_LONGEST_VALUE = 40


@dataclass(eq=False)
class BadField(Exception):
    """A field that states no action."""

    column: str
    value: object
    expected: str

    def __str__(self) -> str:
        text = "" if self.value is None else str(self.value)
        return f"column {self.column!r}: {text[:_LONGEST_VALUE]!r}: expected {self.expected}"


def parse_action(fields: Mapping[str, object]) -> StatedAction:
    """The action that the fields, named as COLUMNS, state; raises BadField.

    A change of the symbol is an action of the new one.
    """
    kind = str(fields.get("kind") or "").strip().casefold()
    if kind not in KINDS:
        raise BadField("kind", fields.get("kind"), f"one of {', '.join(KINDS)}")
    symbol, ex_date = _symbol(fields, "symbol"), _date(fields, "date")
    if ex_date is None:
        raise BadField("date", fields.get("date"), "a date as YYYY-MM-DD")
    announced = _date(fields, "announced")
    if kind == SYMBOL_CHANGE:
        new_symbol = _symbol(fields, "new_symbol")
        if new_symbol == symbol:
            raise BadField("new_symbol", new_symbol, "another one than 'symbol'")
        return StatedAction(new_symbol, ex_date, kind, 1.0, symbol, announced)
    return StatedAction(symbol, ex_date, kind, _value(fields, kind), announced=announced)


class StatedActions:
    """The actions of one symbol, one a date and kind."""

    def __init__(self) -> None:
        self._stated: dict[tuple[date, str], dict[tuple[float, str], StatedAction]] = {}

    def add(self, action: StatedAction) -> None:
        """One that is there already changes nothing.

        Raises BadField for a second split, or change of the symbol, of one day.
        """
        same_day = self._stated.setdefault((action.ex_date, action.kind), {})
        content = (action.value, action.earlier_symbol)
        if same_day and action.kind != DIVIDEND and content not in same_day:
            is_change = action.kind == SYMBOL_CHANGE
            column, value = ("symbol", content[1]) if is_change else ("value", content[0])
            raise BadField(column, value, f"one {action.kind} of {action.symbol} a day")
        same_day.setdefault(content, action)

    def all(self) -> tuple[StatedAction, ...]:
        """Different dividends of one day are one of their sum."""
        return tuple(
            replace(next(iter(same_day.values())), value=sum(value for value, _ in same_day))
            for same_day in self._stated.values()
        )


def _symbol(fields: Mapping[str, object], column: str) -> str:
    text = str(fields.get(column) or "").strip()
    if not is_symbol(text):
        raise BadField(column, fields.get(column), SYMBOL_RULE)
    return text


def _value(fields: Mapping[str, object], kind: str) -> float:
    value = parse_number(fields.get("value"))
    if value is None or not 0.0 < value < math.inf:
        what = "the cash paid a share" if kind == DIVIDEND else "new shares for an old one"
        raise BadField("value", fields.get("value"), f"{what}, a number above zero")
    return value


def _date(fields: Mapping[str, object], column: str) -> date | None:
    text = str(fields.get(column) or "").strip()
    if not text:
        return None
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise BadField(column, text, "a date as YYYY-MM-DD")
