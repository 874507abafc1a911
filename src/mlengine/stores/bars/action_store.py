"""Corporate actions as they were seen, with all their revisions, in the database."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from math import isnan, nan
from typing import NamedTuple

from sqlalchemy import Connection, Engine, Row, bindparam, insert, select, update

from mlengine.core.actions.actions import ActionRevision, StatedAction, next_midnight, revise
from mlengine.stores.database.engine import insert_or_ignore, reading, writing
from mlengine.stores.database.tables import action_series, corporate_actions

# Bars in memory serve on for a while after the day on which actions were asked for.
_LONGEST_CACHED = timedelta(hours=1)
# Others write for milliseconds; whoever asks for bars must not wait for a lock that stays.
_LOCK_SECONDS = 1.0

_Revisions = tuple[ActionRevision, ...]

_READ_SERIES = select(action_series).where(
    action_series.c.symbol.in_(bindparam("symbols", expanding=True))
)
_CLAIM_SERIES = _READ_SERIES.order_by(action_series.c.symbol).with_for_update()
_READ_ACTIONS = (
    select(corporate_actions)
    .where(corporate_actions.c.symbol.in_(bindparam("symbols", expanding=True)))
    .order_by(corporate_actions.c.id)
)


class RecordedActions(NamedTuple):
    """All revisions of a symbol's actions, oldest first, and when its source was last asked."""

    asked_at: datetime
    revisions: _Revisions


class ReportedActions(NamedTuple):
    """What the source states of a symbol, whose market is in `timezone`."""

    actions: Sequence[StatedAction]
    timezone: tzinfo


@dataclass(frozen=True)
class ActionStore:
    """The tables `action_series` and `corporate_actions`; each method raises DatabaseUnavailable.

    Nothing is overwritten: a revised action is a further row, and so is one that is gone.
    """

    engine: Engine

    def read(self, symbols: Collection[str]) -> dict[str, RecordedActions]:
        """By symbol; one whose source was never asked is left out."""
        with reading(self.engine) as connection:
            return _read(connection, symbols, _asked_at(connection, symbols))

    def record(
        self, statements: Mapping[str, ReportedActions], *, seen_at: datetime
    ) -> dict[str, RecordedActions]:
        """Write what is new or revised in what sources state of each symbol just now."""
        with writing(self.engine, lock_timeout_seconds=_LOCK_SECONDS) as connection:
            asked_at = _claim(connection, statements, seen_at)
            recorded = _read(connection, statements, asked_at)
            revisions = [
                revision
                for symbol, (actions, timezone) in statements.items()
                for revision in revise(
                    recorded[symbol].revisions if symbol in recorded else (),
                    actions,
                    timezone=timezone,
                    seen_at=seen_at,
                    served_until=_served_until(asked_at.get(symbol), timezone),
                )
            ]
            if revisions:
                connection.execute(
                    insert(corporate_actions), [_row(each, seen_at) for each in revisions]
                )
            return _read(connection, statements, dict.fromkeys(statements, seen_at))

    def mark_asked(self, symbols: Collection[str], now: datetime) -> None:
        """Note that what is recorded of them serves on, since their source can't say more."""
        with writing(self.engine, lock_timeout_seconds=_LOCK_SECONDS) as connection:
            _claim(connection, symbols, now)


def _served_until(asked_at: datetime | None, timezone: tzinfo) -> datetime | None:
    """Until when answers may have been given with what was recorded then."""
    return next_midnight(asked_at, timezone) + _LONGEST_CACHED if asked_at else None


def _asked_at(connection: Connection, symbols: Iterable[str]) -> dict[str, datetime]:
    rows = connection.execute(_READ_SERIES, {"symbols": list(symbols)})
    return {row.symbol: row.asked_at for row in rows}


def _claim(connection: Connection, symbols: Collection[str], now: datetime) -> dict[str, datetime]:
    """When each symbol that is not new was last asked for; nobody else may write any of them."""
    rows = connection.execute(_CLAIM_SERIES, {"symbols": list(symbols)})
    before = {row.symbol: row.asked_at for row in rows}
    asked = update(action_series).where(
        action_series.c.symbol.in_(list(before)), action_series.c.asked_at < now
    )
    if before:
        connection.execute(asked.values(asked_at=now))
    if new := [{"symbol": each, "asked_at": now} for each in sorted(set(symbols) - before.keys())]:
        connection.execute(insert_or_ignore(connection, action_series), new)
    return before


def _read(
    connection: Connection, symbols: Iterable[str], asked_at: Mapping[str, datetime]
) -> dict[str, RecordedActions]:
    revisions: dict[str, list[ActionRevision]] = {symbol: [] for symbol in asked_at}
    for row in connection.execute(_READ_ACTIONS, {"symbols": list(symbols)}):
        if row.symbol in revisions:
            revisions[row.symbol].append(_action(row))
    return {s: RecordedActions(asked_at[s], tuple(each)) for s, each in revisions.items()}


def _action(row: Row[tuple[object, ...]]) -> ActionRevision:
    value = nan if row.value is None else row.value
    ex_date = date.fromisoformat(row.ex_date)
    return ActionRevision(row.symbol, ex_date, row.kind, value, row.known_at, row.earlier_symbol)


def _row(action: ActionRevision, seen_at: datetime) -> dict[str, object]:
    return {
        "symbol": action.symbol,
        "ex_date": action.ex_date.isoformat(),
        "kind": action.kind,
        "value": None if isnan(action.value) else action.value,
        "earlier_symbol": action.earlier_symbol,
        "known_at": action.known_at,
        "seen_at": seen_at,
    }
