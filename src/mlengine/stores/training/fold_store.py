"""Which folds of running trainings are open, who fits which, and what came of them.

The rows of a training are there for as long as its workers share its folds. Whoever fits a fold
holds a lease on it, by the clock of the database; one that expires, or whose training has ended,
holds no more.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Engine,
    and_,
    case,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)

from mlengine.stores.database.engine import reading, writing
from mlengine.stores.database.tables import runs
from mlengine.stores.database.tables import training_folds as folds

# After so many tries that came to nothing only the training itself fits a fold, and ends with it.
MOST_TRIES = 3


@dataclass(frozen=True)
class FoldClaim:
    """A fold, numbered from 1, that `holder` fits."""

    run_id: str
    fold: int
    holder: str


@dataclass(frozen=True)
class SharedTraining:
    """A training with rows for its `folds`, of which a helper may claim `open_folds`."""

    run_id: str
    is_running: bool
    folds: int
    open_folds: int


@dataclass(frozen=True)
class FoldStore:
    """Every method raises DatabaseUnavailable."""

    engine: Engine

    def open(self, run_id: str, count: int) -> None:
        """Let workers claim the folds of a training, which has none open yet."""
        rows = [{"run_id": run_id, "fold": fold} for fold in range(1, count + 1)]
        with writing(self.engine) as connection:
            connection.execute(folds.insert(), rows)

    def claim(
        self, run_id: str, holder: str, *, now: datetime, lease_seconds: float, helps: bool = True
    ) -> FoldClaim | None:
        """Take the open fold with the most rows, which is the newest; None where none is open.

        One who only `helps` gets no fold that was tried too often.
        """
        is_open = and_(_is_free(now), _is_running(run_id, now), folds.c.run_id == run_id)
        if helps:
            is_open &= folds.c.tries < MOST_TRIES
        newest = select(folds.c.fold).where(is_open).order_by(folds.c.fold.desc()).limit(1)
        with writing(self.engine) as connection:
            while (fold := connection.scalar(newest)) is not None:
                values = {"holder": holder, "lease_until": now + timedelta(seconds=lease_seconds)}
                taken = update(folds).where(is_open, folds.c.fold == fold)
                if connection.execute(taken.values(tries=folds.c.tries + 1, **values)).rowcount:
                    return FoldClaim(run_id, fold, holder)
        return None

    def renew(self, claim: FoldClaim, *, now: datetime, lease_seconds: float) -> bool:
        """Whether it was held still, and is for so many seconds more."""
        lease_until = now + timedelta(seconds=lease_seconds)
        with writing(self.engine) as connection:
            renewal = update(folds).where(_is_held(claim, now)).values(lease_until=lease_until)
            return bool(connection.execute(renewal).rowcount)

    def is_held(self, claim: FoldClaim, *, now: datetime) -> bool:
        """Whether its lease holds, and its training runs; only reads."""
        with reading(self.engine) as connection:
            return connection.scalar(select(folds.c.fold).where(_is_held(claim, now))) is not None

    def finish(self, claim: FoldClaim, result: bytes) -> None:
        """Keep the result of a fold that is held; that of another holder is the same, and stays."""
        with writing(self.engine) as connection:
            connection.execute(update(folds).where(_is_of(claim)).values(result=result))

    def release(self, holder: str) -> None:
        """Let others claim what `holder` has not finished."""
        unfinished = (folds.c.holder == holder) & folds.c.result.is_(None)
        with writing(self.engine) as connection:
            freed = update(folds).where(unfinished).values(holder=None, lease_until=None)
            connection.execute(freed)

    def results(self, run_id: str, *, beside: Collection[int]) -> dict[int, bytes]:
        """What came of the folds that are finished, by fold, `beside` those that are known."""
        query = select(folds.c.fold, folds.c.result).where(
            folds.c.run_id == run_id,
            folds.c.result.is_not(None),
            folds.c.fold.not_in(beside),
        )
        with reading(self.engine) as connection:
            return {row.fold: row.result for row in connection.execute(query)}

    def close(self, run_id: str) -> None:
        """Forget the folds of a training."""
        with writing(self.engine) as connection:
            connection.execute(delete(folds).where(folds.c.run_id == run_id))

    def shared(self, *, now: datetime) -> list[SharedTraining]:
        """The trainings that have rows, whether or not they still run."""
        open_to_help = _is_free(now) & (folds.c.tries < MOST_TRIES)
        query = (
            select(
                folds.c.run_id,
                func.count().label("folds"),
                func.sum(case((open_to_help, 1), else_=0)).label("open_folds"),
                func.count(runs.c.run_id).label("running"),
            )
            .outerjoin(runs, and_(runs.c.run_id == folds.c.run_id, _runs(now)))
            .group_by(folds.c.run_id)
            .order_by(folds.c.run_id)
        )
        with reading(self.engine) as connection:
            return [
                SharedTraining(row.run_id, row.running > 0, row.folds, row.open_folds)
                for row in connection.execute(query)
            ]


def _runs(now: datetime) -> ColumnElement[bool]:
    return and_(runs.c.state == "running", runs.c.lease_until > now)


def _is_running(run_id: str, now: datetime) -> ColumnElement[bool]:
    return exists().where(runs.c.run_id == run_id, _runs(now))


def _is_free(now: datetime) -> ColumnElement[bool]:
    unheld = or_(folds.c.lease_until.is_(None), folds.c.lease_until <= now)
    return and_(folds.c.result.is_(None), unheld)


def _is_of(claim: FoldClaim) -> ColumnElement[bool]:
    return and_(
        folds.c.run_id == claim.run_id,
        folds.c.fold == claim.fold,
        folds.c.holder == claim.holder,
        folds.c.result.is_(None),
    )


def _is_held(claim: FoldClaim, now: datetime) -> ColumnElement[bool]:
    return and_(_is_of(claim), folds.c.lease_until > now, _is_running(claim.run_id, now))
