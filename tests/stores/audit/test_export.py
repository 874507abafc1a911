from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.databases import NOW, answered, failed, new_database, opened

from mlengine.errors import CannotWrite, DatabaseUnavailable
from mlengine.stores.audit.export import SCHEMA, AuditExporter
from mlengine.stores.audit.filter import AuditFilter
from mlengine.stores.audit.store import AuditStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AuditStore]:
    with opened(new_database(tmp_path / "audit.db")) as engine:
        yield AuditStore(engine)


@pytest.mark.parametrize("batch_rows", [1, 3, 7, 1000])
def test_every_bit_is_in_the_file_whatever_the_batches(
    store: AuditStore, tmp_path: Path, batch_rows: int
) -> None:
    entries = [answered(n, day=n, probability_up=float(np.nextafter(0.1, n))) for n in range(7)]
    store.append([*entries, failed(7)])
    path = tmp_path / "out.parquet"
    export = AuditExporter(store.engine, batch_rows)
    assert export.write(path, AuditFilter()) == 8
    frame = pl.read_parquet(path)
    assert dict(frame.schema) == SCHEMA
    assert frame["prediction_id"].to_list() == [f"p{n}" for n in range(8)]
    for entry, row in zip(entries, frame.to_dicts(), strict=False):
        prediction = entry.prediction
        assert (row["probability_up"], row["at"]) == (prediction.probability_up, entry.at)
        assert (row["usable"], row["point_in_time"], row["bars_age_seconds"]) == (
            prediction.usable,
            prediction.point_in_time,
            prediction.bars_age_seconds,
        )
        assert (row["bars_hash"], row["bar_timestamp"]) == (
            prediction.bars_hash,
            prediction.bar_timestamp,
        )
        assert np.array(row["features"]).tobytes() == entry.scored.payload
    last = frame.row(7, named=True)
    assert (last["ok"], last["features"], last["error_code"]) == (False, None, "unknown_symbol")
    assert [each.name for each in tmp_path.iterdir() if "parquet" in each.name] == ["out.parquet"]


def test_a_selection_is_exported_and_an_empty_one_has_the_columns(
    store: AuditStore, tmp_path: Path
) -> None:
    store.append([answered(n) for n in range(5)])
    path = tmp_path / "out.parquet"
    since, until = NOW + timedelta(seconds=1), NOW + timedelta(seconds=3)
    assert AuditExporter(store.engine).write(path, AuditFilter(since=since, until=until)) == 2
    assert pl.read_parquet(path)["prediction_id"].to_list() == ["p1", "p2"]
    assert AuditExporter(store.engine).write(path, AuditFilter(symbol="ZZZ")) == 0
    assert dict(pl.read_parquet(path).schema) == SCHEMA


def test_a_file_that_can_not_be_written_is_named(store: AuditStore, tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match=r"nowhere/out\.parquet can't be written: its folder"):
        AuditExporter(store.engine).write(tmp_path / "nowhere" / "out.parquet", AuditFilter())
    with pytest.raises(CannotWrite, match="it is a folder"):
        AuditExporter(store.engine).write(tmp_path, AuditFilter())


def test_tables_that_can_not_be_read_are_said(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/nowhere/a.db") as engine, pytest.raises(DatabaseUnavailable):
        AuditExporter(engine).write(tmp_path / "out.parquet", AuditFilter())
