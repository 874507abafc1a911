from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sqlalchemy import func, select, update
from tests.factories import START, random_bars
from tests.platforms import NOW, ROWS, SYMBOLS, make_platform
from tests.processes import replay_everything
from tests.published import publish
from tests.upstream import LoopbackUpstream

from mlengine.bootstrap.platform import Platform
from mlengine.core.bars.bars import PRICES, BarArrays
from mlengine.core.features import CORE
from mlengine.core.predictions.replay import ReplayResult, ReplaySummary
from mlengine.errors import PredictionNotFound
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.stores.audit.filter import AuditFilter
from mlengine.stores.audit.windows import store_windows
from mlengine.stores.database.engine import reading, writing
from mlengine.stores.database.tables import (
    bar_segments,
    bar_windows,
    feature_vectors,
    predictions,
)
from mlengine.stores.registry.loader import ModelLoader

ROOT = Path(__file__).parents[3]
DIVIDEND = 0.99337


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return make_platform(tmp_path, models=2)


def predict(platform: Platform, symbol: str = "AAA", *, version: str = "v1") -> str:
    made = platform.predict.predict(
        symbol,
        PredictionRequest(version=version, request_id="r", now=NOW),
    )
    return made.prediction_id


def replay(platform: Platform, prediction_id: str, *, check_upstream: bool = False) -> ReplayResult:
    return platform.replay.replay(
        prediction_id, check_upstream=check_upstream, actor="ann", request_id="r7", now=NOW
    )


def replay_all(platform: Platform, *, sample: int | None = None, seed: int = 0) -> ReplaySummary:
    return platform.replay.replay_many(
        AuditFilter(), sample=sample, seed=seed, check_upstream=False, actor="ann", now=NOW
    )


def predict_many(platform: Platform, days: int) -> int:
    """Predictions of all symbols as of each of the last days, by both versions."""
    for day in range(days):
        platform.predict.predict_batch(
            list(SYMBOLS),
            PredictionRequest(
                as_of=START + timedelta(days=ROWS - day),
                version=f"v{1 + day % 2}",
                request_id="r",
                now=NOW,
                route="/predict/batch",
            ),
        )
    return days * len(SYMBOLS)


def test_a_prediction_is_made_again_bit_for_bit(platform: Platform) -> None:
    made = predict(platform)
    row = platform.audit.get(made)
    again = replay(platform, made)
    assert again == ReplayResult(
        made,
        "AAA",
        row.bar_timestamp,
        "v1",
        "identical",
        recorded_score=row.probability_up,
        replayed_score=row.probability_up,
    )
    with pytest.raises(PredictionNotFound):
        replay(platform, "nobody")


def test_who_asked_stands_in_the_history(platform: Platform) -> None:
    made = predict(platform)
    replay(platform, made)
    replay_all(platform)
    many, one = platform.control.events.page("replayed", 9, None).rows
    assert (one.actor, one.version) == ("ann", "v1")
    assert one.details == {
        "prediction_id": made,
        "request_id": "r7",
        "status": "identical",
        "upstream": "not_checked",
    }
    assert (many.details["replayed"], many.details["counts"]["identical"]) == (1, 1)  # type: ignore[index]


def test_many_predictions_of_several_versions_and_days_are_identical(platform: Platform) -> None:
    count = predict_many(platform, 12)
    found = replay_all(platform)
    assert (found.replayed, found.counts["identical"], found.others) == (count, count, ())
    assert found.reproducible


def test_a_sample_is_the_same_for_the_same_seed(platform: Platform) -> None:
    predict_many(platform, 10)
    (platform.registry.directory / "v1").rename(platform.registry.directory / ".gone")
    one, again, other = (replay_all(platform, sample=9, seed=seed) for seed in (1, 1, 2))
    assert one.replayed == 9
    assert one.others == again.others
    assert [each.prediction_id for each in one.others] != [e.prediction_id for e in other.others]
    assert replay_all(platform, sample=999).replayed == 30


def test_a_return_model_is_made_again_too(tmp_path: Path) -> None:
    platform = make_platform(tmp_path, models=0)
    publish(platform.registry.directory, objective="return")
    assert replay(platform, predict(platform)).status == "identical"


def test_a_feature_that_differs_is_named(platform: Platform) -> None:
    made = predict(platform)
    with writing(platform.control.database) as connection:
        payload = connection.scalar(select(feature_vectors.c.payload))
        vector = np.frombuffer(payload, "<f8").copy()
        vector[3] = np.nextafter(vector[3], 9e9)
        connection.execute(update(feature_vectors).values(payload=vector.tobytes()))
    again = replay(platform, made)
    name = platform.loader.active().feature_set.names[3]
    assert (again.status, again.differing_features) == ("features", (name,))
    found = replay_all(platform)
    assert (found.reproducible, found.counts["features"]) == (False, 1)
    assert found.others[0].differing_features == (name,)


def test_a_vector_of_another_length_differs_in_every_feature(platform: Platform) -> None:
    made = predict(platform)
    with writing(platform.control.database) as connection:
        connection.execute(update(feature_vectors).values(payload=b"\0" * 8))
    assert len(replay(platform, made).differing_features) > 40


def test_a_score_that_differs_in_its_last_bit_is_said(platform: Platform) -> None:
    made = predict(platform)
    score = platform.audit.get(made).probability_up
    other = float(np.nextafter(score, 1.0))
    with writing(platform.control.database) as connection:
        connection.execute(update(predictions).values(probability_up=other))
    again = replay(platform, made)
    assert (again.status, again.recorded_score, again.replayed_score) == ("score", other, score)


def test_a_model_that_was_pruned_or_damaged_is_gone(platform: Platform) -> None:
    made = predict(platform, version="v2")
    other = predict(platform)
    publish(platform.registry.directory, run_id="run3")
    platform.maintenance.prune(keep=1, force=True, dry_run=False, actor="ann", now=NOW)
    assert platform.loader.get("v2"), "it is in memory still"
    again = replay(platform, made)
    assert (again.status, again.reason) == ("model_gone", "there is no model 'v2'")
    (platform.registry.directory / "v1" / "model.txt").write_text("?")
    again = replay(platform, other)
    assert again.status == "model_gone"
    assert again.reason is not None
    assert "refused" in again.reason


def test_another_model_under_the_same_name_is_not_the_one_that_predicted(
    platform: Platform,
) -> None:
    made = predict(platform, version="v2")
    with writing(platform.control.database) as connection:
        connection.execute(update(predictions).values(model_fingerprint="0" * 64))
    again = replay(platform, made)
    assert (again.status, again.reason) == ("model_gone", "v2 is another model today")


def test_a_feature_set_that_is_not_served_any_more_is_gone(platform: Platform) -> None:
    made = predict(platform)
    changed = dataclasses.replace(platform.replay, loader=loader(platform, feature_sets={}))
    again = changed.replay(made, check_upstream=False, actor="ann", request_id=None, now=NOW)
    assert again.status == "feature_set_gone"
    with writing(platform.control.database) as connection:
        connection.execute(update(feature_vectors).values(feature_set_hash="0" * 64))
    assert replay(platform, made).status == "feature_set_gone"


def test_what_has_no_score_or_no_bars_can_not_be_made_again(platform: Platform) -> None:
    platform.predict.predict_batch(
        ["NONE"],
        PredictionRequest(request_id="r", now=NOW, route="/predict/batch"),
    )
    made = predict(platform)
    copy_window(platform, made)
    for table in (bar_windows, bar_segments):
        with writing(platform.control.database) as connection:
            payload = connection.scalar(select(table.c.payload))
            assert payload is not None
            middle = len(payload) // 2 + 3
            damaged = payload[:middle] + b"!" + payload[middle + 1 :]
            connection.execute(update(table).values(payload=damaged))
        again = replay(platform, made)
        assert (again.status, again.reason) == ("not_replayable", "its stored bars are damaged")
        with closing(sqlite3.connect(platform.control.database.url.database or "")) as other:
            other.execute(f"DELETE FROM {table.name}")  # noqa: S608
            other.execute("UPDATE feature_vectors SET bars_recorded_by = ?", [2**62])
            other.commit()
    again = replay(platform, made)
    assert (again.status, again.reason) == ("not_replayable", "its bars are not stored")
    assert replay_all(platform).counts["not_replayable"] == 2


def copy_window(platform: Platform, prediction_id: str) -> None:
    """Let one prediction be as it was stored when each had a copy of its bars."""
    inputs = platform.replay.inputs.get(prediction_id)
    assert inputs is not None
    assert inputs.window is not None
    window = BarArrays.of(inputs.window)
    with writing(platform.control.database) as connection:
        store_windows(connection, {window.bars_hash: window})
        same = feature_vectors.c.bars_hash == window.bars_hash
        connection.execute(update(feature_vectors).where(same).values(bars_recorded_by=None))


def windows_stored(platform: Platform) -> int:
    with reading(platform.control.database) as connection:
        return connection.scalar(select(func.count()).select_from(bar_windows)) or 0


def test_a_window_is_copied_only_where_the_bar_store_can_not_give_it_again(
    tmp_path: Path,
) -> None:
    platform = make_platform(tmp_path, models=2)
    count = predict_many(platform, 4)
    assert windows_stored(platform) == 0
    old = predict(platform)
    copy_window(platform, old)
    assert windows_stored(platform) == 1
    other = make_platform(tmp_path, models=2)  # whose memory has no bars: the past is read
    count += predict_many(other, 6)
    assert windows_stored(other) == 1 + 6
    with reading(platform.control.database) as connection:
        referring = connection.scalars(select(feature_vectors.c.bars_recorded_by)).all()
    assert None in referring
    assert any(referring)
    found = replay_all(other)
    assert (found.replayed, found.counts["identical"]) == (count + 1, count + 1)


def test_a_revision_of_its_bars_at_the_same_moment_changes_no_replay(tmp_path: Path) -> None:
    bars = random_bars("AAA", rows=ROWS)
    with LoopbackUpstream(bars) as upstream:
        platform = make_platform(
            tmp_path,
            MARKET_DATA_BASE_URL=upstream.url,
            MARKET_DATA_RETRY_ATTEMPTS="0",
            MARKET_DATA_CACHE_SECONDS="0",
        )
        made = []
        for factor in (1.0, 1.01, 0.98, 1.03):
            upstream.serve(bars.with_columns(pl.col(PRICES) * factor))
            platform.bars.ingest("AAA", now=NOW)
            made.append(predict(platform))
        assert windows_stored(platform) == 0
        assert len({platform.audit.get(each).bars_hash for each in made}) == 4
        assert {replay(platform, each).status for each in made} == {"identical"}


def test_another_interval_can_not_be_replayed_here(platform: Platform) -> None:
    made = predict(platform)
    hourly = dataclasses.replace(platform.replay, loader=loader(platform, interval="1h"))
    again = hourly.replay(made, check_upstream=False, actor="ann", request_id=None, now=NOW)
    assert again.status == "not_replayable"
    bars = dataclasses.replace(platform.bars, interval="1h")
    other = dataclasses.replace(platform.replay, bars=bars)
    again = other.replay(made, check_upstream=True, actor="ann", request_id=None, now=NOW)
    assert (again.status, again.upstream) == ("identical", "unavailable")


def test_a_dividend_changes_the_upstream_and_not_the_replay(tmp_path: Path) -> None:
    bars = random_bars("AAA", rows=ROWS)
    with LoopbackUpstream(bars) as upstream:
        platform = make_platform(
            tmp_path,
            MARKET_DATA_BASE_URL=upstream.url,
            MARKET_DATA_RETRY_ATTEMPTS="0",
            MARKET_DATA_CACHE_SECONDS="3600",
        )
        made = predict(platform)
        again = replay(platform, made, check_upstream=True)
        assert (again.status, again.upstream) == ("identical", "same")

        paid = START + timedelta(days=ROWS - 10)
        adjusted = pl.when(pl.col("timestamp") < paid).then(DIVIDEND).otherwise(1.0)
        upstream.serve(bars.with_columns(pl.col(PRICES) * adjusted))
        again = replay(platform, made, check_upstream=True)
        assert (again.status, again.upstream) == ("identical", "changed")
        found = platform.replay.replay_many(
            AuditFilter(), sample=None, seed=0, check_upstream=True, actor="ann", now=NOW
        )
        assert (found.counts["identical"], found.upstream["changed"]) == (1, 1)
        assert found.reproducible
        assert found.others[0].upstream == "changed"

        upstream.forget("AAA")
        assert replay(platform, made, check_upstream=True).upstream == "unavailable"
    assert replay(platform, made, check_upstream=True).upstream == "unavailable"
    assert replay(platform, made).upstream == "not_checked"


def test_a_failure_asks_no_upstream(platform: Platform) -> None:
    platform.predict.predict_batch(
        ["NONE"],
        PredictionRequest(request_id="r", now=NOW, route="/predict/batch"),
    )
    (row,) = platform.audit.recent(limit=1).rows
    again = replay(platform, row.prediction_id, check_upstream=True)
    assert (again.status, again.upstream) == ("not_replayable", "not_checked")
    assert again.reason == "it is a failure, and has no score"


@pytest.mark.parametrize(
    ("days", "places"),
    [
        (40, [("3", "Asia/Kathmandu", "C")]),
        pytest.param(
            3600,
            [("1", "Asia/Kathmandu", "C"), ("3", "America/St_Johns", "de_DE.UTF-8")],
            marks=pytest.mark.soak,
        ),
    ],
)
def test_another_process_zone_locale_and_thread_count_make_the_same_bits(
    tmp_path: Path, days: int, places: list[tuple[str, str, str]]
) -> None:
    platform = make_platform(tmp_path, models=2)
    for _ in range(max(1, days // 300)):
        predict_many(platform, min(days, 300))
    count = len(platform.replay.inputs.row_ids(AuditFilter()))
    assert count == 3 * days
    platform.control.database.dispose()
    for threads, zone, locale in places:
        elsewhere = {
            **os.environ,
            "POLARS_MAX_THREADS": threads,
            "OMP_NUM_THREADS": threads,
            "TZ": zone,
            "LC_ALL": locale,
        }
        done = subprocess.run(
            [sys.executable, "-m", replay_everything.__name__, str(tmp_path)],
            cwd=ROOT,
            env=elsewhere,
            check=True,
            capture_output=True,
            text=True,
        )
        assert json.loads(done.stdout)["identical"] == count


def test_a_platform_moved_elsewhere_replays_what_it_predicted(tmp_path: Path) -> None:
    platform = make_platform(tmp_path / "one")
    made = predict(platform)
    platform.control.database.dispose()
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert replay(make_platform(tmp_path / "two", models=0), made).status == "identical"


def loader(
    platform: Platform, *, feature_sets: dict[str, object] | None = None, interval: str = "1d"
) -> ModelLoader:
    """A loader of a platform that serves other feature sets or bars."""
    sets = {"core": CORE} if feature_sets is None else feature_sets
    return ModelLoader(platform.models.registry, sets, interval=interval, states=platform.states)  # type: ignore[arg-type]
