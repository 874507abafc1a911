from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.databases import opened
from tests.processes import compute_after_warm_up

from mlengine.services.predictions.warm_up import open_first_connection
from mlengine.stores.database.engine import open_database


def test_a_batch_finds_nothing_left_to_import_or_to_write_down():
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-m", compute_after_warm_up.__name__],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\n")[0] == "[] []"


def test_a_worker_starts_with_a_connection_and_without_a_database_alike(tmp_path):
    with opened(f"sqlite:///{tmp_path / 'audit.db'}") as platform:
        platform.dispose()
        open_first_connection(platform)
        assert platform.pool.checkedin() == 1
    missing = open_database(f"sqlite:///{tmp_path / 'nowhere' / 'audit.db'}")
    open_first_connection(missing)
    assert missing.pool.checkedin() == 0
