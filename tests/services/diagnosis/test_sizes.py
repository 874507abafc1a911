from __future__ import annotations

from pathlib import Path

import pytest

from mlengine.services.diagnosis import sizes
from mlengine.services.diagnosis.sizes import measure_sizes
from mlengine.stores.database.table_sizes import TableSize

SERVER = "postgresql+psycopg://user@db.invalid/mlengine"


def measure_server(
    folder: Path, tables: tuple[TableSize, ...], patch: pytest.MonkeyPatch
) -> dict[str, tuple[int | None, str | None]]:
    patch.setattr(sizes, "table_sizes", lambda _, seconds: tables if seconds else ())
    found = measure_sizes(folder, SERVER, exact=False)
    assert found.problem is None
    return {each.part: (each.bytes, each.within) for each in found.parts}


def test_a_database_on_a_server_is_as_large_as_its_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = TableSize("runs", 10, 1), TableSize("bar_series", 20, 2), TableSize("events", 5, 1)
    found = measure_server(tmp_path, tables, monkeypatch)
    assert found == {
        "database": (35, None),
        "bars": (20, "database"),
        "bar_series": (20, "bars"),
        "runs": (10, "database"),
        "events": (5, "database"),
    }


def test_what_was_not_counted_makes_no_sum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = TableSize("bar_series", 20, 2), TableSize("bar_segments", None, None)
    found = measure_server(tmp_path, tables, monkeypatch)
    assert found["database"] == (None, None)
    assert found["bars"] == (None, "database")
    assert found["bar_series"] == (20, "bars")
