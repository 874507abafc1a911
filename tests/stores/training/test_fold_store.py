from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta

import pytest
from tests.databases import NOW, new_database, opened

from mlengine.stores.database.migrate import migrate
from mlengine.stores.runs.rows import NewRun
from mlengine.stores.runs.store import RunStore
from mlengine.stores.training.fold_store import MOST_TRIES, FoldClaim, FoldStore, SharedTraining

LEASE = 10.0
EXPIRED = NOW + timedelta(seconds=LEASE)
FOLDS = 5


@pytest.fixture
def folds(tmp_path):
    with opened(new_database(tmp_path / "audit.db")) as engine:
        store = FoldStore(engine)
        start(store, "run")
        store.open("run", FOLDS)
        yield store


def start(folds: FoldStore, run_id: str, line: str = "main") -> None:
    runs = RunStore(folds.engine, line)
    runs.create(NewRun(run_id=run_id, spec="{}", actor="ops", request_id=None), now=NOW)
    runs.start(run_id, now=NOW, lease_seconds=1_000.0)


def claim(folds: FoldStore, holder: str = "one", *, now=NOW, helps: bool = True) -> int | None:
    made = folds.claim("run", holder, now=now, lease_seconds=LEASE, helps=helps)
    return made.fold if made else None


def test_each_fold_is_claimed_once_the_one_with_the_most_rows_first(folds):
    assert [claim(folds) for _ in range(FOLDS + 1)] == [5, 4, 3, 2, 1, None]


def test_racing_workers_share_the_folds(folds):
    race(folds)


def test_they_do_on_postgresql_and_what_dies_is_open_again(postgres_url):
    with opened(postgres_url) as engine:
        migrate(postgres_url)
        folds = FoldStore(engine)
        start(folds, "run")
        folds.open("run", FOLDS)
        race(folds)
        held = FoldClaim("run", claim(folds) or 0, "one")
        assert folds.renew(held, now=NOW, lease_seconds=LEASE)
        assert folds.is_held(held, now=NOW)
        assert folds.shared(now=NOW) == [
            SharedTraining("another", is_running=True, folds=60, open_folds=0),
            SharedTraining("run", is_running=True, folds=FOLDS, open_folds=FOLDS - 1),
        ]
        assert claim(folds, "two", now=EXPIRED) == held.fold
        folds.finish(FoldClaim("run", held.fold, "two"), b"model")
        assert folds.results("run", beside={1}) == {held.fold: b"model"}
        folds.release("two")
        folds.close("another")
        assert [each.run_id for each in folds.shared(now=NOW)] == ["run"]


def race(folds: FoldStore) -> None:
    folds.open("another", 60)
    start(folds, "another", line="other")
    claimed: list[int] = []

    def work(holder: str) -> None:
        while made := folds.claim("another", holder, now=NOW, lease_seconds=LEASE):
            claimed.append(made.fold)

    threads = [threading.Thread(target=work, args=[f"worker {n}"]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(claimed) == dict.fromkeys(range(1, 61), 1)


def test_a_fold_whose_holder_shows_no_life_is_open_again(folds):
    held = FoldClaim("run", claim(folds) or 0, "one")
    assert folds.renew(held, now=NOW + timedelta(seconds=5), lease_seconds=LEASE)
    assert folds.is_held(held, now=EXPIRED)
    later = EXPIRED + timedelta(seconds=5)
    assert not folds.is_held(held, now=later)
    assert not folds.renew(held, now=later, lease_seconds=LEASE)
    assert claim(folds, "two", now=later) == held.fold
    folds.finish(held, b"late")
    assert folds.results("run", beside=()) == {}
    folds.finish(FoldClaim("run", held.fold, "two"), b"in time")
    folds.finish(FoldClaim("run", held.fold, "two"), b"once more")
    assert folds.results("run", beside=()) == {held.fold: b"in time"}
    assert folds.results("run", beside={held.fold}) == {}
    assert claim(folds, now=later) == FOLDS - 1


def test_what_a_dead_helper_held_is_open_at_once_but_not_what_it_finished(folds):
    first, second = claim(folds), claim(folds)
    folds.finish(FoldClaim("run", first or 0, "one"), b"done")
    folds.release("one")
    assert claim(folds, "two") == second


def test_a_fold_that_nobody_finishes_is_left_to_the_training_itself(folds):
    for _ in range(MOST_TRIES):
        assert claim(folds) == FOLDS
        folds.release("one")
    assert claim(folds) == FOLDS - 1
    assert claim(folds, "run", helps=False) == FOLDS


@pytest.mark.parametrize("end", ["cancelled", "lost"])
def test_nothing_is_held_for_a_training_that_has_ended(folds, end):
    held = FoldClaim("run", claim(folds) or 0, "one")
    now = NOW
    if end == "lost":
        now += timedelta(seconds=2_000)
        folds.renew(held, now=NOW, lease_seconds=5_000)
    else:
        RunStore(folds.engine).cancel("run", actor="ops", now=NOW)
    assert not folds.is_held(held, now=now)
    assert not folds.renew(held, now=now, lease_seconds=LEASE)
    assert claim(folds, now=now) is None
    (shared,) = folds.shared(now=now)
    assert not shared.is_running


def test_trainings_that_share_their_folds_are_known_until_they_end(folds):
    start(folds, "another", line="other")
    folds.open("another", 2)
    claim(folds)
    assert folds.shared(now=NOW) == [
        SharedTraining("another", is_running=True, folds=2, open_folds=2),
        SharedTraining("run", is_running=True, folds=FOLDS, open_folds=FOLDS - 1),
    ]
    folds.close("run")
    assert [each.run_id for each in folds.shared(now=NOW)] == ["another"]
