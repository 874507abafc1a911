"""Scored outcomes as arrays, and how many there are of which kind."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import BigInteger, Engine, Select, case, func, literal, select, type_coerce

from mlengine.core.line_names import MODEL_LINE, split_version_key, version_key
from mlengine.core.outcomes.outcome import PENDING, SCORED
from mlengine.core.outcomes.performance import ScoredOutcomes
from mlengine.stores.database.engine import reading
from mlengine.stores.database.tables import outcome_revisions, outcomes
from mlengine.stores.database.version_keys import is_of_line

_DAY = 86_400_000_000
_ROW = outcomes.c
_bar = type_coerce(_ROW.bar_timestamp, BigInteger)
_ends = type_coerce(_ROW.label_ends, BigInteger)
_NUMBERS = ("score", "label", "forward_return", "last_return", "other_score")


@dataclass(frozen=True)
class OutcomeCount:
    """How many outcomes of bars are in a state, for a reason."""

    state: str
    reason: str | None
    rows: int


@dataclass(frozen=True)
class OpenDay:
    """A date (days since 1970) whose outcomes are not all counted yet.

    `overdue_at` is when the last of them is, if its bars are late.
    """

    day: int
    pending: int
    overdue_at: datetime


@dataclass(frozen=True)
class ScoredReader:
    """Reads the outcomes of a line's versions; every method raises DatabaseUnavailable."""

    engine: Engine
    line: str = MODEL_LINE

    def versions(self) -> dict[str, int]:
        """Each version of which an outcome was decided, and how often that was."""
        with reading(self.engine) as connection:
            rows = connection.execute(
                select(outcome_revisions).where(
                    is_of_line(outcome_revisions.c.model_version, self.line)
                )
            )
            return {split_version_key(row.model_version)[1]: row.revision for row in rows}

    def revision(self, version: str) -> int:
        """How often outcomes of a version were decided."""
        query = select(outcome_revisions.c.revision)
        with reading(self.engine) as connection:
            revision = connection.scalar(
                query.where(outcome_revisions.c.model_version == self._key(version))
            )
        return revision or 0

    def first_bar(self, version: str, *, dates: int) -> int | None:
        """When the oldest of the newest `dates` dates with scored outcomes begins, in microseconds.

        Looks at one row a date, however many there are; None without any.
        """
        newest = (
            select((_bar // _DAY).label("day"))
            .where(_ROW.model_version == self._key(version), _ROW.state == SCORED)
            .order_by(_ROW.bar_timestamp.desc())
            .limit(1)
        )
        days = select(newest.scalar_subquery().label("day"), literal(1).label("number")).cte(
            "days", recursive=True
        )
        before = newest.where(_bar < days.c.day * _DAY).correlate(days).scalar_subquery()
        earlier = select(before, days.c.number + 1).where(
            days.c.day.is_not(None), days.c.number < dates
        )
        days = days.union_all(earlier)
        with reading(self.engine) as connection:
            day = connection.scalar(select(func.min(days.c.day)))
        return None if day is None else int(day) * _DAY

    def read(
        self, version: str, *, since: int, until: int | None = None, symbol: str | None = None
    ) -> ScoredOutcomes:
        """The scored outcomes of bars from `since` on, before `until`, by bar, then symbol."""
        query = (
            select(_ROW.symbol, _bar, _ends, *(_ROW[name] for name in _NUMBERS))
            .where(_ROW.model_version == self._key(version), _bar >= since, _ROW.state == SCORED)
            .order_by(_ROW.bar_timestamp, _ROW.symbol)
        )
        if until is not None:
            query = query.where(_bar < until)
        if symbol is not None:
            query = query.where(_ROW.symbol == symbol)
        with reading(self.engine) as connection:
            rows = connection.execute(query).all()
        symbols, bars, ends, *numbers = list(zip(*rows, strict=True)) or [()] * (3 + len(_NUMBERS))
        scores, labels, forward_returns, last_returns, other_scores = (
            np.array(column, dtype=np.float64) for column in numbers
        )
        return ScoredOutcomes(
            np.array(symbols, dtype=np.str_),
            np.array(bars, dtype=np.int64),
            np.array(ends, dtype=np.int64),
            scores,
            labels,
            forward_returns,
            last_returns,
            other_scores,
        )

    def symbols(self, version: str) -> list[str]:
        """All symbols of which a version has outcomes, decided or not."""
        query = select(_ROW.symbol).where(_ROW.model_version == self._key(version)).distinct()
        with reading(self.engine) as connection:
            return sorted(connection.scalars(query))

    def counts(
        self, version: str, *, since: int, symbols: Sequence[str] | None = None
    ) -> list[OutcomeCount]:
        """How many decided outcomes of bars from `since` on there are."""
        query = select(_ROW.state, _ROW.reason, func.count()).where(
            _ROW.model_version == self._key(version), _bar >= since, _ROW.state != PENDING
        )
        query = _of_symbols(query.group_by(_ROW.state, _ROW.reason), symbols)
        with reading(self.engine) as connection:
            rows = connection.execute(query).all()
        return [OutcomeCount(str(state), reason, count) for state, reason, count in rows]

    def pending(
        self, version: str, *, now: datetime, symbols: Sequence[str] | None = None
    ) -> tuple[int, int]:
        """How many pending outcomes are due by now, and how many are not."""
        due = func.coalesce(func.sum(case((_ROW.due_at <= now, 1), else_=0)), 0)
        # Every symbol is: by this SQLite takes the index of those that are pending.
        query = select(due, func.count()).where(
            _ROW.model_version == self._key(version), _ROW.look_at.is_not(None), _ROW.symbol >= ""
        )
        with reading(self.engine) as connection:
            count, rows = connection.execute(_of_symbols(query, symbols)).one()
        return int(count), int(rows - count)

    def open_days(self, version: str, *, after: int) -> list[OpenDay]:
        """The dates after that day (since 1970), in their order."""
        day = (_bar // _DAY).label("day")
        pending = func.sum(case((_ROW.state == PENDING, 1), else_=0))
        query = (
            select(day, pending, func.max(_ROW.overdue_at))
            .where(_ROW.model_version == self._key(version), _bar >= (after + 1) * _DAY)
            .group_by(day)
            .order_by(day)
        )
        with reading(self.engine) as connection:
            return [OpenDay(int(at), int(left), end) for at, left, end in connection.execute(query)]

    def _key(self, version: str) -> str:
        return version_key(self.line, version)


def _of_symbols(query: Select[Any], symbols: Sequence[str] | None) -> Select[Any]:
    return query if symbols is None else query.where(_ROW.symbol.in_(symbols))
