from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from tests.factories import random_bars
from tests.platforms import make_platform
from tests.processes import reproduce_version
from tests.published import publish
from tests.services.trained import train

from mlengine.bootstrap.platform import Platform
from mlengine.core import serialization
from mlengine.core.runs.progress import Progress, ignore_progress
from mlengine.core.versions.manifest import Manifest
from mlengine.errors import ArtifactCorrupt, FeatureSetMismatch, ModelNotFound, TrainingFailed


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return make_platform(tmp_path, models=0)


def _now() -> datetime:
    return datetime.now(UTC)


def test_a_version_can_be_made_again_from_what_stands_beside_it(platform: Platform) -> None:
    manifest = train(platform)
    seen: list[Progress] = []
    done = platform.reproduction.reproduce("v1", seen.append)
    assert done.identical
    assert done.fingerprint == done.reproduced == manifest.fingerprint
    assert done.candidate_reproduced == manifest.candidate_fingerprint
    assert done.differences == ()
    assert done.upstream is None
    assert {p.stage for p in seen} == {"features", "fit"}
    assert json.dumps(serialization.to_plain(done))


@pytest.mark.parametrize(
    "change",
    [
        {"refit": "full"},
        {"refit": "full", "train_window": 60, "params": {"num_leaves": 4}, "seed": 7},
        {"objective": "return", "embargo_bars": 3, "lookback": 300, "label_delay_bars": 1},
    ],
)
def test_every_part_of_the_recipe_is_repeated(
    platform: Platform, change: dict[str, object]
) -> None:
    manifest = train(platform, **change)
    done = platform.reproduction.reproduce("v1", ignore_progress)
    assert done.identical
    assert done.reproduced == manifest.fingerprint
    assert (done.reproduced == done.candidate_reproduced) == (manifest.served == "candidate")


@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.soak), 4])
def test_fresh_processes_on_any_number_of_threads_give_one_fingerprint(
    platform: Platform, tmp_path: Path, threads: int
) -> None:
    manifest = train(platform, refit="full")
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-m", reproduce_version.__name__, str(tmp_path), str(threads)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert done.stdout.strip() == manifest.fingerprint


def test_a_universe_that_changed_since_has_no_say(platform: Platform, tmp_path: Path) -> None:
    path = tmp_path / "members.csv"
    path.write_text("symbol,from,to\nAAA,2020-01-01,\nBBB,2020-03-01,2020-12-01\n")
    limited = train(platform, universe_file=str(path))
    assert "universe.csv" in limited.files
    path.unlink()
    assert platform.reproduction.reproduce("v1", ignore_progress).identical


def _serve(tmp_path: Path, symbol: str, bars: pl.DataFrame) -> None:
    bars.write_parquet(tmp_path / "bars" / f"{symbol}.parquet")


def test_bars_that_came_later_are_no_difference(platform: Platform, tmp_path: Path) -> None:
    long = {symbol: random_bars(symbol, rows=420) for symbol in ("AAA", "BBB", "CCC")}
    for symbol, bars in long.items():
        _serve(tmp_path, symbol, bars.head(400 if symbol != "CCC" else 390))
    train(platform, lookback=300)
    for symbol, bars in long.items():
        _serve(tmp_path, symbol, bars)
    upstream = platform.reproduction.reproduce("v1", ignore_progress, upstream_at=_now()).upstream
    assert upstream is not None
    assert upstream.same, upstream.changed_symbols


def test_the_upstream_is_asked_whether_its_bars_still_are_the_recorded_ones(
    platform: Platform, tmp_path: Path
) -> None:
    train(platform, lookback=300, symbols=("AAA", "BBB", "NONE"))
    same = platform.reproduction.reproduce("v1", ignore_progress, upstream_at=_now()).upstream
    assert same is not None
    assert (same.same, same.changed_symbols) == (True, ())

    halved = random_bars("BBB", rows=400).with_columns(pl.col("open", "high", "low", "close") / 2.0)
    _serve(tmp_path, "BBB", halved)
    done = platform.reproduction.reproduce("v1", ignore_progress, upstream_at=_now())
    assert done.identical, "the stored bars make the model, whatever the upstream says later"
    assert done.upstream is not None
    assert (done.upstream.same, done.upstream.changed_symbols) == (False, ("BBB",))
    assert done.upstream.bars_sha256 != done.bars_sha256


def test_a_symbol_that_the_upstream_has_lost_is_a_change(
    platform: Platform, tmp_path: Path
) -> None:
    train(platform)
    (tmp_path / "bars" / "CCC.parquet").unlink()
    upstream = platform.reproduction.reproduce("v1", ignore_progress, upstream_at=_now()).upstream
    assert upstream is not None
    assert upstream.changed_symbols == ("CCC",)


def _republish(platform: Platform, manifest: Manifest, **files: bytes) -> None:
    registry = platform.models.registry
    kept = {name: registry.read("v1", name) for name in manifest.files}
    registry.publish(
        dataclasses.replace(manifest, run_id="other"), {**kept, **files}, fence=lambda: None
    )


def test_what_can_not_be_made_again_is_said_with_both_sides(platform: Platform) -> None:
    manifest = train(platform)
    told = dataclasses.replace(
        manifest, seed=8, libraries={**manifest.libraries, "lightgbm": "4.0.0"}
    )
    _republish(platform, told)
    done = platform.reproduction.reproduce("v2", ignore_progress)
    assert not done.identical
    assert [each.what for each in done.differences] == [
        "fingerprint", "candidate fingerprint", "lightgbm",
    ]  # fmt: skip
    assert done.differences[0].recorded == manifest.fingerprint
    assert done.differences[2].recorded == "4.0.0"


def test_a_library_alone_is_told_and_no_failure(platform: Platform) -> None:
    manifest = train(platform)
    _republish(platform, dataclasses.replace(manifest, libraries={}))
    done = platform.reproduction.reproduce("v2", ignore_progress)
    assert done.identical
    assert {each.recorded for each in done.differences} == {None}


def test_what_the_progress_callback_raises_ends_it(platform: Platform) -> None:
    def stop(progress: Progress) -> None:
        if progress.stage == "fit":
            raise KeyError(progress.stage)

    train(platform)
    with pytest.raises(KeyError):
        platform.reproduction.reproduce("v1", stop)


def test_a_version_that_is_not_there_torn_without_bars_or_features_is_refused(
    platform: Platform, tmp_path: Path
) -> None:
    with pytest.raises(ModelNotFound):
        platform.reproduction.reproduce("v1", ignore_progress)
    directory = platform.registry.directory
    publish(directory)
    with pytest.raises(TrainingFailed, match="no bars were stored beside v1"):
        platform.reproduction.reproduce("v1", ignore_progress)
    train(platform)
    other = dataclasses.replace(platform.reproduction, feature_sets={})
    with pytest.raises(FeatureSetMismatch, match="serves none"):
        other.reproduce("v2", ignore_progress)
    (directory / "v2" / "bars.parquet").write_bytes(b"torn")
    with pytest.raises(ArtifactCorrupt):
        platform.reproduction.reproduce("v2", ignore_progress)


def test_a_version_that_a_cluster_fitted_is_not_trained_again(platform: Platform) -> None:
    publish(platform.registry.directory, reproducible=False)
    with pytest.raises(
        TrainingFailed, match="v1 was fitted by a cluster, which may give other trees"
    ):
        platform.reproduction.reproduce("v1", ignore_progress)
