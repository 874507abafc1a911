from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.databases import new_database, opened

from mlengine.errors import DatabaseUnavailable
from mlengine.stores.database.engine import writing


@pytest.mark.parametrize(
    "harm",
    [
        Path.unlink,
        lambda file: os.truncate(file, 100),
        lambda file: (
            file.with_suffix(".new").write_bytes(file.read_bytes())
            and file.with_suffix(".new").replace(file)
        ),
    ],
)
def test_nothing_is_written_once_the_file_is_another_one(
    tmp_path: Path, harm: Callable[[Path], object]
) -> None:
    file = tmp_path / "a.db"
    with opened(new_database(file)) as engine:
        with writing(engine) as connection:
            connection.exec_driver_sql("PRAGMA user_version=1")
        harm(file)
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable, match="start it again"), writing(engine):
                pass
