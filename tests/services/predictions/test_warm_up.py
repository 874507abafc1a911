from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.databases import opened

from mlengine.services.predictions.warm_up import connect
from mlengine.stores.database.engine import open_database

_WARMED_UP = """
import sys
from datetime import UTC, datetime
from mlengine.core.bars.bars import RAW_SCHEMA, frame_of
from mlengine.core.bars.cleaning import clean_panel
from mlengine.core.features import CORE, latest
from mlengine.services.predictions.warm_up import warm_up
from tests.factories import panel

raw = panel(20, rows=64).match_to_schema(RAW_SCHEMA, missing_columns="insert")
warm_up()
modules, declared = set(sys.modules), set(vars(CORE))
judged = clean_panel(raw, interval="1d", now=datetime(2024, 6, 1, tzinfo=UTC))
table = latest(frame_of([each.arrays for each in judged.values()]), CORE)
assert table.height == 20 and table["rsi_14"].null_count() == 0
print(sorted(set(sys.modules) - modules), sorted(set(vars(CORE)) - declared))
"""


def test_a_batch_finds_nothing_left_to_import_or_to_write_down():
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", _WARMED_UP], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[0] == "[] []"


def test_a_worker_starts_with_a_connection_and_without_a_database_alike(tmp_path):
    with opened(f"sqlite:///{tmp_path / 'audit.db'}") as platform:
        platform.dispose()
        connect(platform)
        assert platform.pool.checkedin() == 1
    missing = open_database(f"sqlite:///{tmp_path / 'nowhere' / 'audit.db'}")
    connect(missing)
    assert missing.pool.checkedin() == 0
