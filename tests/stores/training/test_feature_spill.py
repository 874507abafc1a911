import signal
import subprocess
import sys
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from tests import garbage
from tests.core.small_features import SMALL, SPEC
from tests.factories import START, panel, random_bars

from mlengine.core.boosting.model import LightGBMConfig
from mlengine.core.runs.progress import ProgressTracker, ignore_progress
from mlengine.core.training import experiment
from mlengine.core.training.dataset import build
from mlengine.core.training.row_plan import plan_rows
from mlengine.core.training.split_roles import split_role_table
from mlengine.errors import ArtifactsUnavailable
from mlengine.stores.training.feature_spill import SpillFolder
from mlengine.stores.training.fold_files import FoldFiles
from mlengine.stores.training.fold_work_files import read_work, write_work


def _uneven_bars():
    """Symbols of other lengths and beginnings, one without a row, some values undefined."""
    later = random_bars("S90", rows=200, start=START + timedelta(days=150), seed=3)
    damaged = random_bars("S91", rows=300, seed=4).with_columns(
        pl.when(pl.col("close") < 95.0).then(None).otherwise(pl.col("volume")).alias("volume")
    )
    bars = pl.concat([panel(11, rows=400), later, damaged, random_bars("S92", rows=4)])
    return bars.sample(fraction=1.0, shuffle=True, seed=2)


BARS = _uneven_bars()


@pytest.fixture
def folder(tmp_path):
    return SpillFolder(tmp_path / "spill", 0, piece_rows=900, span_rows=700)


def _both(folder, **how):
    how = {"horizon_bars": 5, "objective": "direction", **how}
    spill = folder.spill_for(BARS, SMALL.names)
    return build(BARS, SMALL, **how), build(BARS, SMALL, **how, spill=spill)


MEMBERS = pl.DataFrame(
    [
        ("S00", date(2020, 3, 1), date(2020, 5, 1)),
        *((f"S{at:02d}", date(2020, 2, 1), None) for at in range(1, 11)),
        ("S91", date(2020, 4, 1), None),
    ],
    {"symbol": pl.String, "from": pl.Date, "to": pl.Date},
    orient="row",
)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"objective": "return", "label_transform": "cs_zscore", "members": MEMBERS},
        {"delay_bars": 1, "across_holes": BARS.select("symbol", "timestamp").head(500)},
    ],
    ids=["plain", "z-scores of members", "holes"],
)
def test_a_dataset_on_disk_is_the_one_in_memory_bit_for_bit(folder, how):
    memory, disk = _both(folder, **how)
    assert disk.frame.columns == [name for name in memory.frame.columns if name not in SMALL.names]
    assert disk.frame.equals(memory.frame.select(disk.frame.columns))
    assert disk.plan().collect().select(memory.frame.columns).equals(memory.frame)
    assert disk.matrix().tobytes() == memory.matrix().tobytes()
    height = memory.frame.height
    assert (
        len(disk.to_bin(np.arange(height))) == len(list(folder.directory.glob("*/*.parquet"))) > 2
    )
    for rows in (np.arange(height), np.arange(3, height, 7), np.arange(900, 1_000), np.arange(0)):
        assert disk.features(rows).equals(memory.features(rows))
        blocks = [block for each in (disk, memory) for block in each.blocks(rows)]
        assert all(block.flags.c_contiguous for block in blocks)
        assert b"".join(map(np.ndarray.tobytes, disk.blocks(rows))) == memory.matrix(rows).tobytes()
        for name in SMALL.names:
            assert disk.feature(name, rows).tobytes() == memory.feature(name, rows).tobytes()


def test_a_training_from_disk_gives_the_models_and_scores_of_one_in_memory(folder):
    memory, disk = _both(folder)
    params = {"num_leaves": 7, "min_data_in_leaf": 20, "bin_construct_sample_cnt": 400}
    recipe = LightGBMConfig("direction", 42, 1, rounds=15, early_stopping_rounds=5, params=params)
    plan = plan_rows(memory, SPEC)
    one, other = (
        experiment.run(
            dataset,
            plan_rows(dataset, SPEC),
            recipe,
            spec=SPEC,
            refit=True,
            tracker=ProgressTracker(ignore_progress),
        )
        for dataset in (memory, disk)
    )
    for ours, theirs in zip(
        [*one.folds, one.candidate], [*other.folds, other.candidate], strict=True
    ):
        assert ours.fitted == theirs.fitted
        assert ours.scores.tobytes() == theirs.scores.tobytes()
        assert ours.evaluation == theirs.evaluation
    assert one.refit == other.refit
    table = split_role_table(disk, plan).collect()
    assert table.equals(split_role_table(memory, plan).collect())


class ThroughFiles:
    """Others, who fit the folds by what was written for them."""

    def __init__(self, directory):
        self.files = FoldFiles(directory, lambda: None)

    def begin(self, work):
        write_work(self.files, "run", work)

    def gather(self, work, tracker):  # noqa: ARG002
        theirs = read_work(self.files, "run")
        return ((fold, theirs.fit(fold)) for fold in range(1, len(work.folds) + 1))


def test_folds_from_disk_are_fitted_by_others_as_those_in_memory(folder, tmp_path):
    memory, disk = _both(folder)
    params = {"num_leaves": 7, "min_data_in_leaf": 20, "bin_construct_sample_cnt": 400}
    recipe = LightGBMConfig("direction", 42, 1, rounds=5, params=params)
    alone, shared = (
        experiment.run(
            dataset,
            plan_rows(dataset, SPEC),
            recipe,
            spec=SPEC,
            refit=False,
            tracker=ProgressTracker(ignore_progress),
            fan_out=fan_out,
        )
        for dataset, fan_out in ((memory, None), (disk, ThroughFiles(tmp_path / "fan-out")))
    )
    assert [fold.fitted for fold in shared.folds] == [fold.fitted for fold in alone.folds]
    assert shared.candidate.fitted == alone.candidate.fitted


def test_no_rows_give_an_empty_dataset(folder):
    bars = random_bars("S92", rows=4)
    spill = folder.spill_for(bars, SMALL.names)
    disk = build(bars, SMALL, horizon_bars=5, objective="direction", spill=spill)
    assert disk.frame.is_empty()
    assert disk.matrix().shape == (0, 3)
    assert disk.plan().collect().columns == [*disk.frame.columns, *SMALL.names]
    assert disk.feature("momentum_5", np.arange(0)).tolist() == []


def test_what_memory_holds_stays_there(tmp_path):
    cells = BARS.height * 3 * 8
    assert SpillFolder(tmp_path / "spill", cells).spill_for(BARS, SMALL.names) is None
    assert not (tmp_path / "spill").exists()
    assert SpillFolder(tmp_path / "spill", cells - 1).spill_for(BARS, SMALL.names) is not None


def test_the_files_go_with_the_dataset(folder):
    dataset = _both(folder)[1]
    assert list(folder.directory.glob("*/*.parquet"))
    assert not list(folder.directory.glob("*/*.rows"))
    del dataset
    garbage.collect()
    assert [path.name for path in folder.directory.iterdir()] == [".lock"]


def test_what_a_killed_process_left_goes_with_the_next_and_what_another_uses_stays(folder):
    program = (
        "import sys; from pathlib import Path; from tests.factories import panel;"
        "from mlengine.stores.training.feature_spill import SpillFolder;"
        "spill = SpillFolder(Path(sys.argv[1]), 0).spill_for(panel(2, rows=20), ('a',));"
        "print('there', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(folder.directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert other.stdout.readline() == b"there\n"
        (theirs,) = (path for path in folder.directory.iterdir() if path.is_dir())
        ours = folder.spill_for(BARS, SMALL.names)
        assert theirs.exists()
    finally:
        other.send_signal(signal.SIGKILL)
        other.communicate()
    assert theirs.exists()
    again = folder.spill_for(BARS, SMALL.names)
    assert not theirs.exists()
    assert len([path for path in folder.directory.iterdir() if path.is_dir()]) == 2
    del ours, again


def test_a_folder_that_can_not_be_written_is_named_as_such(tmp_path):
    (tmp_path / "spill").write_text("not a folder")
    with pytest.raises(ArtifactsUnavailable):
        SpillFolder(tmp_path / "spill", 0).spill_for(BARS, SMALL.names)
    folder = SpillFolder(tmp_path / "other", 0)
    spill = folder.spill_for(BARS, SMALL.names)
    for path in folder.directory.iterdir():
        if path.is_dir():
            path.rmdir()
    with pytest.raises(ArtifactsUnavailable):
        build(BARS, SMALL, horizon_bars=5, objective="direction", spill=spill)
