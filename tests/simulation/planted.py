"""Faults planted into the product, each a promise broken: the simulator has to find every one.

`FAULTS` has them by name. Each is a context manager that takes a piece of care away: an fsync, a
fence, an index, a lock, a rename.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlalchemy import ColumnElement, Connection, delete, select, update
from tests.simulation.machine import Machine
from tests.simulation.simulation import Planted

from mlengine.core.runs.run import LIVE_STATES
from mlengine.core.runs.schedule import Schedule, ScheduleTick
from mlengine.errors import DatabaseUnavailable
from mlengine.services.runs.lease import Lease
from mlengine.stores.audit.spool import spool as spool_module
from mlengine.stores.audit.spool.spool import AuditSpool, _readable_rows
from mlengine.stores.audit.spool.store import SpooledAuditStore
from mlengine.stores.bars import segments
from mlengine.stores.bars import store as bar_store
from mlengine.stores.database.engine import writing
from mlengine.stores.database.tables import bar_segments, runs, schedules
from mlengine.stores.registry.registry import Registry
from mlengine.stores.runs import rows
from mlengine.stores.runs import store as run_store
from mlengine.stores.runs.rows import NewRun
from mlengine.stores.runs.schedules import ScheduleStore
from mlengine.stores.system import atomic_files

FAULTS: dict[str, Planted] = {}


def _replacing(name: str, owner: object, attribute: str, replacement: object) -> None:
    """A fault that is another function in place of the product's."""

    @contextmanager
    def plant(_: Machine) -> Iterator[None]:
        with patch.object(owner, attribute, replacement):
            yield

    FAULTS[name] = plant


def _changing_schema(name: str, sql: str) -> None:
    @contextmanager
    def plant(machine: Machine) -> Iterator[None]:
        machine.database.change(sql)
        yield

    FAULTS[name] = plant


def _create_unforced(path: Path, content: bytes, *, mode: int = atomic_files.PRIVATE) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        os.write(handle, content)
    finally:
        os.close(handle)


def _write_in_place(path: Path, content: bytes, *, mode: int = atomic_files.PRIVATE) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        os.write(handle, content)
        os.fsync(handle)
    finally:
        os.close(handle)
    atomic_files.fsync_directory(path.parent)


def _copy_into_sight(registry: Registry, staging: Path, version: str) -> None:
    target = registry.directory / version
    target.mkdir()
    for path in sorted(staging.iterdir()):
        atomic_files.create_file(target / path.name, path.read_bytes())
    atomic_files.fsync_directory(target)
    atomic_files.fsync_directory(registry.directory)
    shutil.rmtree(staging)


@contextmanager
def _no_lock(_: Path, *, wait: bool = True) -> Iterator[bool]:
    yield True


class _WithoutFsync:
    """The module `os`, but for one function."""

    def __getattr__(self, name: str) -> object:
        return (lambda _: None) if name == "fsync" else getattr(os, name)


def _forget_then_store(
    spool: AuditSpool, path: Path, store: Callable[[Sequence[Any]], None]
) -> None:
    lines = path.read_bytes().split(b"\n")[:-1]
    path.unlink()
    store(_readable_rows(lines)[0])


def _spool_and_answer(store: SpooledAuditStore, records: Sequence[Any]) -> None:
    """Answers also where neither the tables nor the spool take the rows."""
    try:
        _REAL_APPEND(store, records)
    except DatabaseUnavailable:
        return


_REAL_APPEND = SpooledAuditStore.append


def _any_lease(run_id: str, _now: object) -> ColumnElement[bool]:
    return runs.c.run_id == run_id


def _claim_unchecked(
    store: ScheduleStore, _: Schedule, tick: datetime, new: NewRun, *, now: datetime
) -> ScheduleTick:
    """Whatever the last tick is by now."""
    current = store.read()
    assert current is not None
    return _REAL_CLAIM(store, current, tick, new, now=now)


_REAL_CLAIM = ScheduleStore.claim_tick


def _claim_in_two_steps(
    store: ScheduleStore, _: Schedule, tick: datetime, new: NewRun, *, now: datetime
) -> ScheduleTick:
    with writing(store.engine) as connection:
        connection.execute(update(schedules).values(last_tick=tick))
    with writing(store.engine) as connection:
        rows.mark_overdue_as_lost(connection, now)
        live = connection.scalar(select(runs.c.run_id).where(runs.c.state.in_(LIVE_STATES)))
        if live is None:
            rows.insert_run(connection, new, now=now)
    return ScheduleTick("skipped" if live else "claimed", new.run_id)


def _overwrite_bars(connection: Connection, rows_of: Mapping[int, Any]) -> None:
    for series, each in rows_of.items():
        starts = [int(start) for start in each.starts]
        old = (bar_segments.c.series_id == series) & (bar_segments.c.first_start.in_(starts))
        connection.execute(delete(bar_segments).where(old))
    _REAL_WRITE_ROWS(connection, rows_of)


_REAL_WRITE_ROWS = segments.write_rows

_replacing("files_unforced", atomic_files, "create_file", _create_unforced)
_replacing("names_unforced", atomic_files, "fsync_directory", lambda _: None)
_replacing("files_written_in_place", atomic_files, "replace_file", _write_in_place)
_replacing("rename_taken_away", Registry, "_make_visible", _copy_into_sight)
_replacing("registry_lock_taken_away", atomic_files, "file_lock", _no_lock)
_replacing("spool_unforced", spool_module, "os", _WithoutFsync())
_replacing("spool_forgotten_before_stored", AuditSpool, "_drain_file", _forget_then_store)
_replacing("answer_without_a_row", SpooledAuditStore, "append", _spool_and_answer)
_replacing("fence_taken_away", Lease, "fence", lambda _: None)
_replacing("lease_never_expires", run_store, "_leased", _any_lease)
_changing_schema("index_of_live_runs_dropped", "DROP INDEX uq_runs_live")
_replacing("tick_claimed_unchecked", ScheduleStore, "claim_tick", _claim_unchecked)
_replacing("tick_claimed_in_two_steps", ScheduleStore, "claim_tick", _claim_in_two_steps)
_replacing("bars_overwritten", bar_store, "write_rows", _overwrite_bars)
