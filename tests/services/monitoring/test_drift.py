"""Live rows are counted once each, and what they come to is answered from the counts."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.core.monitoring.drift.panels import NAMES, PanelRows, column_set, panel, replaced
from tests.databases import new_database, opened
from tests.services.monitoring.live_years import (
    FIRST,
    LiveYears,
    model_reference,
    moment,
    publish_version,
)

from mlengine.core.monitoring.drift.distances import sort_columns
from mlengine.core.monitoring.drift.evidently import evidently_scores
from mlengine.core.monitoring.drift.model_reference import ModelReference
from mlengine.core.monitoring.drift.tallies import DateTallies, tally
from mlengine.core.monitoring.drift.windows import DriftWindow
from mlengine.core.monitoring.drift_alarm import DriftAlarms
from mlengine.errors import ArtifactCorrupt, ModelNotFound, NoActiveModel
from mlengine.services.monitoring.drift import ModelDrift
from mlengine.services.monitoring.drift_checks import DriftChecks
from mlengine.services.telemetry.drift_gauges import drift_gauges
from mlengine.stores.database.events import EventStore
from mlengine.stores.system import table_files

NOW = moment(FIRST + 400)


@pytest.fixture(scope="module")
def reference() -> ModelReference:
    return model_reference()


@pytest.fixture
def years(tmp_path: Path, reference: ModelReference) -> Iterator[LiveYears]:
    with opened(new_database(tmp_path / "audit.db")) as engine:
        years = LiveYears.of(tmp_path, engine)
        publish_version(years.registry, reference)
        yield years


def found(years: LiveYears, window: str = "250", **asked: str) -> ModelDrift:
    chosen = {"version": "v1", **asked}
    return years.drift.drift(window=DriftWindow.parse(window), now=NOW, **chosen)  # type: ignore[arg-type]


def counted(years: LiveYears, version: str = "v1") -> DateTallies:
    return years.drift.store.tallies(version, since=0, features=len(NAMES) + 1)


def some(rows: PanelRows, which: np.ndarray) -> PanelRows:
    return PanelRows(rows.values[which], rows.dates[which], rows.symbols[which])


def told(years: LiveYears) -> list[dict[str, object]]:
    page = EventStore(years.audit.engine).page("drift_alarm", 100, None)
    return [dict(event.details) for event in page.rows]


def test_before_anything_is_counted_there_is_insufficient_data(years: LiveYears) -> None:
    nothing = found(years)
    assert (nothing.status, nothing.n_current, nothing.updated_at) == ("insufficient_data", 0, None)
    assert nothing.n_reference == 16_000
    years.live(panel(5, seed=1))
    years.updates.run(NOW)
    few = found(years)
    assert (few.status, few.n_current, few.dates) == ("insufficient_data", 40, 5)
    assert all(each.psi is None for each in few.features)
    assert few.prediction_drift is not None


def test_rows_like_those_of_training_are_ok_and_shifted_ones_drift(
    years: LiveYears, reference: ModelReference
) -> None:
    years.live(panel(40, seed=1))
    years.updates.run(NOW)
    calm = found(years)
    assert (calm.status, calm.reason, calm.n_current, calm.dates) == ("ok", None, 256, 32)
    assert calm.calibration_windows == 62
    assert calm.since == moment(FIRST + 7) - timedelta(minutes=1)
    assert calm.log_loss is not None
    assert calm.log_loss.estimated == pytest.approx(0.69)
    publish_version(years.registry, reference)
    years.live(panel(40, seed=1, shift=4.0), version="v2")
    years.updates.run(NOW)
    moved = found(years, version="v2")
    assert (moved.status, moved.features[0].feature) == ("drift", "slow")
    assert moved.score is not None
    assert moved.threshold is not None
    assert moved.score > moved.threshold
    assert moved.prediction_drift is not None
    assert moved.prediction_drift.drifted is not None


def test_a_bar_counts_once_and_what_was_asked_of_the_past_never(years: LiveYears) -> None:
    rows = panel(10, seed=1)
    for _ in range(3):
        years.live(rows)
    years.live(panel(20, seed=2), as_of=moment(FIRST - 500))
    years.updates.run(NOW)
    assert counted(years).rows.tolist() == [8.0] * 10


def test_counts_are_those_of_the_rows_in_whatever_pieces_they_came(
    years: LiveYears, reference: ModelReference
) -> None:
    rows = panel(30, seed=1)
    rows = column_set(rows, "steps", 1.0)
    for last in (4, 5, 20, 30):
        years.live(some(rows, rows.dates < last))
        years.updates.run(moment(FIRST + last))
    live = tally(replace(rows, dates=rows.dates + FIRST), reference.features.grid)
    for name in ("dates", "rows", "bins", "repeats", "outside", "spreads"):
        ours = counted(years).columns(slice(0, -1))
        assert getattr(ours, name) == pytest.approx(getattr(live, name)), name
    before = counted(years)
    years.updates.run(NOW)
    assert np.array_equal(before.bins, counted(years).bins)


def test_rows_that_come_late_are_added_to_their_date(years: LiveYears) -> None:
    rows = panel(12, seed=1)
    early = rows.symbols < 5
    years.live(some(rows, early))
    years.updates.run(moment(FIRST + 12))
    years.live(some(rows, ~early))
    years.updates.run(moment(FIRST + 13))
    assert counted(years).rows.tolist() == [8.0] * 12


def test_an_update_that_ended_half_way_is_made_up_for(years: LiveYears) -> None:
    rows = panel(25, seed=1)
    years.live(rows)
    version = years.drift.references.get("v1")
    counts = years.updates._count(version, list(range(FIRST, FIRST + 25)))
    for _, some_counts in zip(range(9), counts, strict=False):
        years.drift.store.record("v1", some_counts)
    assert years.drift.store.progress("v1") is None
    years.updates.run(NOW)
    assert counted(years).rows.tolist() == [8.0] * 25


def test_the_alarm_tells_a_change_once_with_what_it_found(years: LiveYears) -> None:
    years.live(panel(66, seed=3, shift=4.0))
    for date in range(FIRST, FIRST + 70, 33):
        years.updates.run(moment(date))
    (event,) = told(years)[-1:]
    assert event["by"] == "distribution"
    assert event["features"][0] == "slow"  # type: ignore[index]
    assert event["e_value"] >= event["level"]  # type: ignore[operator]
    alarm = found(years).alarm
    assert alarm.alarms == len(told(years)) >= 1
    assert alarm.found[0] == "slow"
    assert alarm.threshold == 126.0


def test_a_feature_that_freezes_is_told_in_days_and_once(years: LiveYears) -> None:
    rows = panel(40, seed=1)
    values = rows.values.copy()
    for symbol in range(8):
        own = (rows.symbols == symbol) & (rows.dates >= 20)
        values[own, 1] = values[own, 1][0]
    still = replaced(rows, values)
    for last in range(22, 36):
        years.live(some(still, still.dates <= last))
        years.updates.run(moment(FIRST + last))
        if told(years):
            break
    assert last == 24, "three repeats, and a date more that says they are whole"
    (event,) = told(years)
    assert (event["by"], event["features"]) == ("frozen_feature", ["fast"])
    alarm = found(years).alarm
    assert (alarm.frozen_features, alarm.frozen_alarms, alarm.alarms) == (("fast",), 1, 0)
    years.registry.activate("v1", actor="ann", reason="first", now=NOW)
    gauges = {
        (each.family.name, *sample.labels): sample.value
        for each in drift_gauges(years.drift, NOW, "slow")
        for sample in each.samples
    }
    assert gauges["drift_alarms_total", "slow/v1", "frozen_feature", "slow"] == 1.0
    assert gauges["drift_alarms_total", "slow/v1", "distribution", "slow"] == 0.0
    assert gauges["frozen_features", "slow"] == 1.0
    years.live(still)
    years.updates.run(NOW)
    assert [each["by"] for each in told(years)].count("frozen_feature") == 1
    assert found(years).alarm.frozen_alarms == 1


def test_what_an_earlier_platform_kept_of_the_alarm_is_read() -> None:
    kept = DriftAlarms(frozen=("fast",), looked=7).to_dict()
    del kept["frozen_alarms"]
    assert DriftAlarms.from_dict(kept) == DriftAlarms(frozen=("fast",), looked=7)


def test_the_same_answer_is_kept_until_there_are_new_rows(years: LiveYears) -> None:
    rows = panel(20, seed=1)
    years.live(some(rows, rows.dates < 15))
    years.updates.run(moment(FIRST + 15))
    first = found(years)
    assert found(years) is first
    assert found(years, "100") is not first
    years.live(rows)
    years.updates.run(NOW)
    assert found(years).n_current > first.n_current


def test_a_window_is_of_whole_dates(years: LiveYears) -> None:
    years.live(panel(40, seed=1))
    years.updates.run(NOW)
    for window, dates, reason in (
        ("60", 7, None),
        ("250", 32, None),
        ("170d", 0, "too_few_rows"),
        ("33", 5, "too_few_rows"),
    ):
        answer = found(years, window)
        assert (answer.dates, answer.reason) == (dates, reason), window


def test_days_end_today(years: LiveYears) -> None:
    years.live(panel(30, seed=1))
    years.updates.run(NOW)
    window = DriftWindow.parse("9d")
    now = moment(FIRST + 29)
    assert years.drift.drift(window=window, version="v1", now=now).dates == 7
    late = years.drift.drift(window=window, version="v1", now=now + timedelta(days=4))
    assert late.dates == 4


ODD = {
    "one": panel(1),
    "constant": replaced(panel(30), np.ones((240, 4))),
    "null": replaced(panel(30), np.full((240, 4), math.nan)),
    "infinite": replaced(panel(30), np.full((240, 4), math.inf)),
}


def test_a_clearing_of_the_audit_forgets_the_counts(years: LiveYears) -> None:
    years.live(panel(30, seed=1))
    years.updates.run(NOW)
    assert found(years).n_current > 0
    years.audit.clear(actor="ann", at=NOW)
    years.updates.run(NOW)
    cleared = found(years)
    assert (cleared.status, cleared.n_current) == ("insufficient_data", 0)


@pytest.mark.parametrize("name", ODD)
def test_rows_that_say_nothing_are_never_drift(years: LiveYears, name: str) -> None:
    years.live(ODD[name])
    years.updates.run(NOW)
    assert found(years).status == "insufficient_data"


def test_a_version_from_before_calibration_has_figures_and_no_verdict(years: LiveYears) -> None:
    publish_version(years.registry, None)
    years.live(panel(40, seed=1, shift=4.0), version="v2")
    years.updates.run(NOW)
    answer = found(years, version="v2")
    assert (answer.status, answer.reason, answer.n_reference) == (
        "uncalibrated",
        "no_calibration",
        16_000,
    )
    assert {each.drifted for each in answer.features} == {None}
    assert max(each.ks or 0.0 for each in answer.features) > 0.5
    assert answer.alarm.e_value == 0.0


def test_a_damaged_reference_is_corrupt_and_in_nobodys_way(
    years: LiveYears, reference: ModelReference, caplog: pytest.LogCaptureFixture
) -> None:
    publish_version(years.registry, reference, drift=b"PK no archive")
    years.live(panel(9), version="v2")
    years.live(panel(9))
    years.updates.run(NOW)
    assert counted(years).rows.sum() == 72
    assert "drift_not_counted" in caplog.text
    with pytest.raises(ArtifactCorrupt):
        found(years, version="v2")


def test_counts_of_a_version_that_is_gone_are_deleted(
    years: LiveYears, reference: ModelReference
) -> None:
    publish_version(years.registry, reference)
    years.live(panel(9), version="v2")
    years.live(panel(9))
    years.updates.run(NOW)
    assert counted(years, "v2").rows.sum() == 72
    shutil.rmtree(years.registry.directory / "v2")
    years.updates.run(NOW)
    assert years.drift.store.rows_by_date("v2") == []
    assert years.drift.store.progress("v2") is None
    assert counted(years).rows.sum() == 72


def test_the_scores_of_evidently_are_given_where_they_are_asked_for(years: LiveYears) -> None:
    rows = panel(40, seed=1)
    years.live(rows)
    years.updates.run(NOW)
    answer = found(years, mode="evidently")
    assert answer.evidently is not None
    assert found(years).evidently is None
    newest = some(rows, rows.dates >= 8)
    trained = years.drift.references.sketch("v1")
    for each, sample in zip(answer.evidently, sort_columns(newest.values), strict=False):
        expected = vars(evidently_scores(trained[each.feature], sample))
        assert {name: getattr(each, name) for name in expected} == pytest.approx(expected)


def test_evidently_reads_no_more_dates_than_it_needs(
    years: LiveYears, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = panel(20, seed=1)
    years.live(rows)
    years.updates.run(NOW)
    monkeypatch.setattr("mlengine.services.monitoring.drift._MOST_ROWS", 40)
    answer = found(years, "100", mode="evidently")
    assert answer.evidently is not None
    newest = sort_columns(some(rows, rows.dates >= 15).values)
    trained = years.drift.references.sketch("v1")
    for each, sample in zip(answer.evidently, newest, strict=False):
        expected = evidently_scores(trained[each.feature], sample)
        assert each.wasserstein == pytest.approx(expected.wasserstein)


def test_the_oldest_of_many_answers_is_forgotten(years: LiveYears) -> None:
    first, second = found(years, "1"), found(years, "2")
    for window in range(3, 34):
        found(years, str(window))
    assert found(years, "2") is second
    assert found(years, "1") is not first


def test_counting_goes_on_from_the_last_date_that_was_counted(years: LiveYears) -> None:
    years.live(column_set(panel(12, seed=1), "steps", 1.0))
    version, dates = years.drift.references.get("v1"), list(range(FIRST, FIRST + 12))
    whole = list(years.updates._count(version, dates))
    for counts in years.updates._count(version, dates[:6]):
        years.drift.store.record("v1", counts)
    (resumed,) = years.updates._count(version, [FIRST + 6])
    assert np.array_equal(resumed.repeats, whole[6].repeats)
    assert np.array_equal(resumed.bins, whole[6].bins)


def test_a_date_without_rows_is_not_counted(years: LiveYears) -> None:
    years.live(panel(2, seed=1))
    version = years.drift.references.get("v1")
    counts = list(years.updates._count(version, [FIRST, FIRST + 1, FIRST + 9]))
    assert [each.dates.tolist() for each in counts] == [[FIRST], [FIRST + 1]]


def test_counts_outlast_a_folder_of_versions_that_is_away(years: LiveYears) -> None:
    years.live(panel(9))
    years.updates.run(NOW)
    shutil.rmtree(years.registry.directory / "v1")
    assert years.registry.versions() == []
    years.updates.run(NOW)
    assert counted(years).rows.sum() == 72


def test_a_status_is_told_where_it_is_news(years: LiveYears) -> None:
    events = EventStore(years.audit.engine)
    checks = DriftChecks(years.drift, events)
    assert checks.run(NOW) is None, "nothing is active"
    years.registry.activate("v1", actor="ann", reason="", now=NOW)
    checks.run(NOW)
    assert events.page("drift_checked", 9, None).rows == (), "nothing is counted"
    years.live(panel(40, seed=1))
    years.updates.run(NOW)
    for hours in range(3):
        checks.run(NOW + timedelta(hours=hours))
    (event,) = events.page("drift_checked", 9, None).rows
    assert (event.version, event.at, event.details["status"]) == ("v1", NOW, "ok")
    now = found(years)
    assert (event.details["n_current"], event.details["score"]) == (now.n_current, now.score)
    assert (event.details["threshold"], now.false_alarm_rate) == (now.threshold, 0.05)
    years.live(panel(66, seed=3, shift=4.0))
    years.updates.run(NOW)
    checks.run(NOW + timedelta(hours=4))
    (event, _) = events.page("drift_checked", 9, None).rows
    assert event.details["score"] > event.details["threshold"]  # type: ignore[operator]
    assert event.details["features"][0] == found(years).features[0].feature  # type: ignore[index]


def test_a_sketch_of_fewer_features_than_the_reference_is_corrupt(
    years: LiveYears, reference: ModelReference
) -> None:
    few = pl.DataFrame({"slow": [0.0, 1.0], "prediction": [0.4, 0.6]})
    publish_version(years.registry, reference, sketched=table_files.to_parquet(few))
    assert found(years, version="v2").evidently is None
    with pytest.raises(ArtifactCorrupt, match="of other features"):
        years.drift.references.sketch("v2")


def test_drift_needs_a_model(years: LiveYears) -> None:
    with pytest.raises(NoActiveModel):
        years.drift.drift(window=DriftWindow(bars=9), version=None, now=NOW)
    with pytest.raises(ModelNotFound):
        found(years, version="v9")
