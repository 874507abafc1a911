from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from tests.fold_work import NAMES, work

from mlengine.errors import ArtifactsUnavailable
from mlengine.stores.system import array_files
from mlengine.stores.system.strict_files import DamagedFile
from mlengine.stores.training import fold_work_files
from mlengine.stores.training.fold_files import FoldFiles
from mlengine.stores.training.fold_work_files import (
    BINS_FILE,
    ROWS_FILE,
    dump_fitted,
    parse_fitted,
    read_work,
    write_work,
)


@dataclass(frozen=True)
class _Stored:
    content: bytes


@dataclass
class _Bucket:
    """What hosts share, in memory."""

    stored: dict[str, bytes] = field(default_factory=dict)

    def get(self, key: str) -> _Stored | None:
        return _Stored(self.stored[key]) if key in self.stored else None

    def put(self, key: str, content: bytes) -> None:
        self.stored[key] = content

    def keys(self, prefix: str) -> list[str]:
        return [key.removeprefix(prefix) for key in self.stored if key.startswith(prefix)]

    def delete(self, keys: list[str]) -> None:
        for key in keys:
            del self.stored[key]


@pytest.fixture(params=["folder", "bucket"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> FoldFiles:
    if request.param == "folder":
        return FoldFiles(tmp_path / "fan-out")
    bucket = _Bucket()
    return FoldFiles(tmp_path / "fan-out", lambda: bucket)


def test_the_folds_of_shared_work_are_the_same_to_the_bit(files: FoldFiles) -> None:
    made = work()
    write_work(files, "run", made)
    read = read_work(files, "run")
    assert read is not None
    assert read.config == made.config
    assert read.bins.names == NAMES
    for fold in (1, 2):
        here, there = made.fit(fold), read.fit(fold)
        assert there == here
        assert parse_fitted(dump_fitted(there)) == here


def test_another_host_reads_what_one_shares_and_neither_keeps_a_file(tmp_path: Path) -> None:
    bucket = _Bucket()
    one, two = (FoldFiles(tmp_path / name, lambda: bucket) for name in ("one", "two"))
    write_work(one, "run", work())
    assert read_work(two, "run") is not None
    assert (one.left_here(), two.left_here()) == (frozenset(), frozenset())
    one.remove("run")
    assert bucket.stored == {}


def test_nothing_is_left_of_a_run_that_ended(files: FoldFiles) -> None:
    assert files.left_here() == frozenset()
    write_work(files, "run", work())
    write_work(files, "run", work())
    write_work(files, "other", work())
    files.remove("run")
    assert read_work(files, "run") is None
    assert read_work(files, "other") is not None
    files.remove("other")
    files.remove("other")
    assert files.left_here() == frozenset()


def test_rows_without_bins_are_those_of_a_run_that_ends_just_now(tmp_path: Path) -> None:
    files = FoldFiles(tmp_path)
    write_work(files, "run", work())
    (tmp_path / "run" / BINS_FILE).unlink()
    assert read_work(files, "run") is None
    bucket = _Bucket()
    shared = FoldFiles(tmp_path, lambda: bucket)
    write_work(shared, "run", work())
    del bucket.stored[f"fan-out/run/{BINS_FILE}"]
    assert read_work(shared, "run") is None


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    files = FoldFiles(tmp_path)
    write_work(files, "run", work())
    with (tmp_path / "run" / BINS_FILE).open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"?")
    with pytest.raises(DamagedFile):
        read_work(files, "run")
    (tmp_path / "run" / ROWS_FILE).write_bytes(b"?")
    with pytest.raises(DamagedFile):
        read_work(files, "run")


def test_another_lightgbm_leaves_the_folds_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = FoldFiles(tmp_path)
    write_work(files, "run", work())
    monkeypatch.setattr(fold_work_files, "version", lambda _: "0.1")
    assert read_work(files, "run") is None


def test_a_model_that_is_not_what_it_says_is_refused() -> None:
    fitted = work().fit(1)
    other = dataclasses.replace(fitted, fingerprint="0" * 64)
    for content in (dump_fitted(other), b"{}", b"?"):
        with pytest.raises(DamagedFile):
            parse_fitted(content)


def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "fan-out").write_bytes(b"")
    with pytest.raises(ArtifactsUnavailable):
        write_work(FoldFiles(tmp_path / "fan-out"), "run", work())


def test_row_numbers_take_four_bytes_at_most(tmp_path: Path) -> None:
    write_work(FoldFiles(tmp_path), "run", work())
    arrays = array_files.from_archive((tmp_path / "run" / ROWS_FILE).read_bytes())
    assert {arrays[name].dtype for name in arrays if name != "facts"} == {np.dtype(np.int32)}
