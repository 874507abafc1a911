"""What versions said of symbols at their bars: each once, in one transaction with its audit."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson
import polars as pl
from sqlalchemy import Connection, Select, insert, select
from sqlalchemy.exc import IntegrityError

from mlengine.core.line_names import version_key
from mlengine.core.monitoring.messages import SIGNALS_READY_TYPE, signals_ready_body
from mlengine.core.predictions.prediction import Prediction
from mlengine.core.signals.panel import PANEL_SCHEMA
from mlengine.core.signals.signal import SCHEDULED, BarToScore, SignalQuery, Slice
from mlengine.core.timestamps import rfc3339
from mlengine.errors import DamagedRow
from mlengine.stores.audit.entries import AuditedFailure, AuditedPrediction, AuditEntry
from mlengine.stores.audit.store import AuditStore
from mlengine.stores.database.engine import reading
from mlengine.stores.database.many_rows import execute_many
from mlengine.stores.database.outbox import publish_message
from mlengine.stores.database.tables import signal_bars, signal_slices, signals
from mlengine.stores.signals.plans import complete, lock_bar, settle

_INSERT, _COLUMNS = insert(signals), tuple(each.name for each in signals.c)
_SIGNAL = signals.c
_PANEL_COLUMNS = tuple(name for name in PANEL_SCHEMA if name != "source")


class SliceLost(Exception):
    """Another worker has taken the slice, or has said of its symbols what was to be said."""


class SignalKey(NamedTuple):
    """What there is one signal of; the version is its key over all lines."""

    model_version: str
    symbol: str
    bar_timestamp: datetime


@dataclass(frozen=True)
class SignalStore:
    """The table `signals`, beside the audit; every method raises DatabaseUnavailable."""

    audit: AuditStore

    def answer(
        self,
        held: Slice,
        entries: Sequence[AuditEntry],
        *,
        left: Sequence[str],
        look_at: datetime | None,
        now: datetime,
    ) -> None:
        """Write what was said, in the audit and as signals, and let the slice go: all or nothing.

        Of the symbols that are `left` something is to be said at `look_at`. With the last slice of
        the bar others are told that its signals are there. Raises SliceLost, and nothing is
        written.
        """
        rows = [_row(entry, held.bar) for entry in entries]

        def within(connection: Connection) -> None:
            lock_bar(connection, held.bar)
            if not settle(connection, held, left, look_at):
                raise SliceLost
            execute_many(connection, _INSERT, _COLUMNS, rows)
            if look_at is None and complete(connection, held.bar, now):
                _tell(connection, held.bar, now)

        try:
            self.audit.append_within(entries, within)
        except IntegrityError:
            raise SliceLost from None

    def said(self, held: Slice, bars: Collection[datetime]) -> set[SignalKey]:
        """Of the slice's symbols and versions, what has been said of these bars already."""
        versions = [version_key(held.bar.model, version) for version in held.bar.versions]
        query = select(_SIGNAL.model_version, _SIGNAL.symbol, _SIGNAL.bar_timestamp).where(
            _SIGNAL.model_version.in_(versions),
            _SIGNAL.symbol.in_(held.symbols),
            _SIGNAL.bar_timestamp.in_(sorted(bars)),
        )
        with reading(self.audit.engine) as connection:
            return {SignalKey(*row) for row in connection.execute(query)}

    def read(self, model: str, asked: SignalQuery, *, limit: int) -> pl.DataFrame:
        """At most `limit` rows of the panel, by bar and symbol; see PANEL_SCHEMA.

        Without a version those of the champions. Raises DamagedRow.
        """
        query = _wanted(select(*(_SIGNAL[name] for name in _PANEL_COLUMNS)), model, asked)
        query = query.order_by(_SIGNAL.bar_timestamp, _SIGNAL.symbol).limit(limit)
        with reading(self.audit.engine) as connection:
            rows = list(map(tuple, connection.execute(query)))
        return _panel(rows)

    def pending(self, model: str, asked: SignalQuery) -> int:
        """Of how many symbols something is to be said yet, over the planned bars."""
        bar, each = signal_bars.c, signal_slices.c
        query = select(each.symbols).join(signal_bars, each.bar_id == bar.id)
        query = query.where(each.look_at.is_not(None), bar.model == model)
        if asked.since is not None:
            query = query.where(bar.bar_timestamp >= asked.since)
        if asked.until is not None:
            query = query.where(bar.bar_timestamp < asked.until)
        with reading(self.audit.engine) as connection:
            lists = [orjson.loads(text) for text in connection.scalars(query)]
        wanted = [name for names in lists for name in names if asked.symbol in (None, name)]
        return len(wanted)


def _wanted(query: Select[Any], model: str, asked: SignalQuery) -> Select[Any]:
    if asked.version is not None:
        query = query.where(_SIGNAL.model_version == version_key(model, asked.version))
    else:
        query = query.where(_SIGNAL.model == model, _SIGNAL.is_champion)
    if asked.symbol is not None:
        query = query.where(_SIGNAL.symbol == asked.symbol)
    if asked.since is not None:
        query = query.where(_SIGNAL.bar_timestamp >= asked.since)
    if asked.until is not None:
        query = query.where(_SIGNAL.bar_timestamp < asked.until)
    if asked.as_of is not None:
        query = query.where(_SIGNAL.answered_at <= asked.as_of)
    return query


def _row(entry: AuditEntry, bar: BarToScore) -> tuple[object, ...]:
    """In the order of the table."""
    said = entry.prediction if isinstance(entry, AuditedPrediction) else entry.failure
    key = said.model_key or version_key(bar.model, bar.champion)
    common = (bar.model, said.model_version == bar.champion, said.prediction_id, entry.at)
    if isinstance(entry, AuditedFailure):
        nothing = (None, None, None, None, None)
        return (key, said.symbol, bar.bar_timestamp, *common, *nothing, entry.failure.error_code)
    answer = entry.prediction
    forecast = (_score(answer), answer.prediction)
    facts = (answer.in_sample, answer.usable, entry.reasons, None)
    return (key, said.symbol, answer.bar_timestamp, *common, *forecast, *facts)


def _score(answer: Prediction) -> float | None:
    scores = (answer.probability_up, answer.expected_return, answer.expected_score)
    return next((score for score in scores if score is not None), None)


def _panel(rows: Sequence[tuple[object, ...]]) -> pl.DataFrame:
    stored = {name: PANEL_SCHEMA[name] for name in _PANEL_COLUMNS} | {"reasons": pl.String}
    try:
        frame = pl.DataFrame(rows, schema=stored, orient="row")
    except (TypeError, pl.exceptions.PolarsError):
        raise DamagedRow from None
    words = pl.col("reasons").str.split(" ").list.filter(pl.element() != "")
    version = pl.col("model_version").str.split("/").list.last()
    frame = frame.with_columns(version, words, source=pl.lit(SCHEDULED))
    return frame.select(list(PANEL_SCHEMA))


def _tell(connection: Connection, bar: BarToScore, now: datetime) -> None:
    """The last of the transaction's statements: see `publish_message`."""
    row = signal_bars.c
    details = {
        "bar_timestamp": rfc3339(bar.bar_timestamp),
        "final_at": rfc3339(bar.final_at),
        "previous_version": bar.previous,
        "symbols": connection.scalar(select(row.symbols).where(row.id == bar.id)),
    }
    body = signals_ready_body(bar.model, bar.champion, details, now)
    publish_message(connection, SIGNALS_READY_TYPE, now, body)
