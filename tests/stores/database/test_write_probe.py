from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.databases import new_database, opened

from mlengine.errors import DatabaseUnavailable
from mlengine.stores.database.write_probe import WriteProbe


def test_a_disk_with_little_room_takes_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(new_database(tmp_path / "audit.db")) as engine:
        probe = WriteProbe()
        with monkeypatch.context() as full:
            full.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=1, f_frsize=4096))
            with pytest.raises(DatabaseUnavailable, match="disk is full"):
                probe.write(engine)
        probe.write(engine)
