"""Which bars are to be scored: planned once among any number of workers, in slices."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, Row, Update, and_, exists, insert, or_, select, update

from mlengine.core.signals.signal import BarToScore, ScoredBar, Slice, Tick
from mlengine.stores.database.engine import insert_or_ignore, parse_column, reading, writing
from mlengine.stores.database.tables import signal_bars, signal_slices

_BAR_FIELDS = tuple(each.name for each in fields(BarToScore))
_SLICE, _BAR = signal_slices.c, signal_bars.c


@dataclass(frozen=True)
class SignalPlans:
    """The tables `signal_bars` and `signal_slices`; every method raises DatabaseUnavailable."""

    engine: Engine

    def plan(
        self,
        model: str,
        tick: Tick,
        versions: tuple[str, str | None],
        symbols: Sequence[str],
        *,
        give_up_at: datetime,
        slice_symbols: int,
        now: datetime,
    ) -> bool:
        """Plan a bar, unless it is planned; whether it was this call that did.

        `versions` are the champion and the one before it: they speak of the whole bar, whatever
        is activated meanwhile.
        """
        bar = {
            "model": model,
            "final_at": tick.at,
            "bar_timestamp": tick.bar_timestamp,
            "next_at": tick.next_at,
            "give_up_at": give_up_at,
            "champion": versions[0],
            "previous": versions[1],
            "symbols": len(symbols),
            "planned_at": now,
        }
        with writing(self.engine) as connection:
            claim = insert_or_ignore(connection, signal_bars).values(bar).returning(_BAR.id)
            bar_id = connection.scalar(claim)
            if bar_id is None:
                return False
            slices = [
                {
                    "bar_id": bar_id,
                    "number": first // slice_symbols,
                    "symbols": _text(symbols[first : first + slice_symbols]),
                    "look_at": tick.at,
                }
                for first in range(0, len(symbols), slice_symbols)
            ]
            connection.execute(insert(signal_slices), slices)
        return True

    def claim(
        self, holder: str, *, models: Collection[str], now: datetime, lease_seconds: float
    ) -> Slice | None:
        """Hold a slice of these lines that is due and that nobody holds; None where none is.

        The newest bar comes first.
        """
        due = (
            select(*(_BAR[name] for name in _BAR_FIELDS), _SLICE.number, _SLICE.symbols)
            .join(signal_bars, _SLICE.bar_id == _BAR.id)
            .where(
                _SLICE.look_at <= now,
                or_(_SLICE.lease_until.is_(None), _SLICE.lease_until <= now),
                _BAR.model.in_(models),
            )
            .order_by(_BAR.final_at.desc(), _SLICE.look_at, _SLICE.number)
            .limit(1)
        )
        with reading(self.engine) as connection:  # most looks find nothing, and lock nobody out
            if connection.execute(due).first() is None:
                return None
        with writing(self.engine) as connection:
            row = connection.execute(
                due.with_for_update(of=signal_slices, skip_locked=True)
            ).first()
            if row is None:
                return None
            found = _slice(row, holder)
            until = now + timedelta(seconds=lease_seconds)
            connection.execute(_of(found).values(holder=holder, lease_until=until))
        return found

    def newest(self, model: str, *, limit: int) -> list[ScoredBar]:
        """The newest bars of a line, the last one first.

        But those of which all was cleared: they have no slices any more.
        """
        open_slices = select(_SLICE.bar_id, _SLICE.symbols).where(_SLICE.look_at.is_not(None))
        query = select(signal_bars).where(
            _BAR.model == model, exists().where(_SLICE.bar_id == _BAR.id)
        )
        with reading(self.engine) as connection:
            bars = connection.execute(query.order_by(_BAR.id.desc()).limit(limit)).all()
            ids = [bar.id for bar in bars]
            left: Counter[int] = Counter()
            for row in connection.execute(open_slices.where(_SLICE.bar_id.in_(ids))):
                left[row.bar_id] += len(parse_column(row.symbols))
        return [
            ScoredBar(
                bar_timestamp=bar.bar_timestamp,
                final_at=bar.final_at,
                completed_at=bar.completed_at,
                champion=bar.champion,
                previous=bar.previous,
                symbols=bar.symbols,
                pending=left[bar.id],
            )
            for bar in bars
        ]

    def overdue(self, *, now: datetime) -> dict[str, int]:
        """By line, of how many symbols nothing was said though their bar was to be given up."""
        query = select(_BAR.model, _SLICE.symbols).join(signal_bars, _SLICE.bar_id == _BAR.id)
        late = query.where(_SLICE.look_at.is_not(None), _BAR.give_up_at <= now)
        with reading(self.engine) as connection:
            counts = dict.fromkeys(connection.scalars(select(_BAR.model).distinct()), 0)
            for row in connection.execute(late):
                counts[row.model] += len(parse_column(row.symbols))
        return counts

    def renew(self, held: Slice, *, now: datetime, lease_seconds: float) -> bool:
        """Whether its holder still has it, and has it for so many seconds more."""
        until = now + timedelta(seconds=lease_seconds)
        with writing(self.engine) as connection:
            return bool(connection.execute(_held(held).values(lease_until=until)).rowcount)


def settle(
    connection: Connection, held: Slice, left: Sequence[str], look_at: datetime | None
) -> bool:
    """Let a slice go with the symbols that are `left` for `look_at`; False where it is another's.

    In the transaction of what was said of the others.
    """
    values = {"symbols": _text(left), "look_at": look_at, "holder": None, "lease_until": None}
    return bool(connection.execute(_held(held).values(values)).rowcount)


def complete(connection: Connection, bar: BarToScore, now: datetime) -> bool:
    """Whether, in this transaction, the last slice of a bar was settled."""
    of_bar = and_(_SLICE.bar_id == bar.id, _SLICE.look_at.is_not(None))
    done = update(signal_bars).where(_BAR.id == bar.id, _BAR.completed_at.is_(None))
    is_open = connection.execute(select(_SLICE.number).where(of_bar).limit(1)).first()
    if is_open is not None:
        return False
    return bool(connection.execute(done.values(completed_at=now)).rowcount)


def lock_bar(connection: Connection, bar: BarToScore) -> None:
    """Let others that settle a slice of the bar wait, so that the last one knows that it is."""
    connection.execute(select(_BAR.id).where(_BAR.id == bar.id).with_for_update())


def _of(each: Slice) -> Update:
    return update(signal_slices).where(_SLICE.bar_id == each.bar.id, _SLICE.number == each.number)


def _held(each: Slice) -> Update:
    return _of(each).where(_SLICE.holder == each.holder)


def _slice(row: Row[*tuple[Any, ...]], holder: str) -> Slice:
    bar = BarToScore(**{name: getattr(row, name) for name in _BAR_FIELDS})
    return Slice(bar, row.number, tuple(parse_column(row.symbols)), holder)


def _text(symbols: Sequence[str]) -> str:
    return orjson.dumps(list(symbols)).decode()
