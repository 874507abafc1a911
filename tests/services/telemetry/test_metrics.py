from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from tests.platforms import NOW, make_platform

from mlengine.core.telemetry import families
from mlengine.core.telemetry.families import Samples
from mlengine.errors import NoActiveModel
from mlengine.services.monitoring.health import WorkerCountProbe
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.services.telemetry.metrics import counted_samples
from mlengine.services.telemetry.timed_cache import TimedCache

HISTOGRAM = next(family for family in families.COUNTED if family.kind == "histogram")
COUNTER = next(family for family in families.COUNTED if family.kind == "counter")


def test_counts_of_no_family_of_this_version_are_left_out() -> None:
    labels = ["x"] * len(COUNTER.labels)
    found = counted_samples(
        {
            (COUNTER.name, *labels): [3.0],
            (COUNTER.name, *labels, "more"): [4.0],
            ("of_an_earlier_version", "x"): [5.0],
        }
    )
    assert [each.family for each in found] == list(families.COUNTED)
    told = [(each.family, sample.value) for each in found for sample in each.samples]
    assert told == [(COUNTER, 3.0)]


def test_a_histogram_with_the_cells_of_another_version_counts_nothing() -> None:
    labels = ["x"] * len(HISTOGRAM.labels)
    found = counted_samples({(HISTOGRAM.name, *labels): [9.0, 1.0]})
    (sample,) = (sample for each in found for sample in each.samples)
    assert sample.value == 0.0
    assert set(sample.counts) == {0.0}


def test_the_gauges_tell_how_many_workers_there_are_and_go_on_without_a_model(
    tmp_path: Path,
) -> None:
    gauges = make_platform(tmp_path, models=0).metrics.gauges

    def nothing(_: object) -> list[Samples]:
        raise NoActiveModel

    probe = WorkerCountProbe(lambda: 3)
    gauges = replace(gauges, workers=probe, more=[nothing], newest=TimedCache(5.0))
    found = {each.family: [s.value for s in each.samples] for each in gauges.read(NOW)}
    assert found[families.WORKERS] == [3.0]
    assert found[families.DATABASE_UP] == [1.0], "the database is not to blame"
    assert families.MODEL_INFO not in found
    assert sum(found[families.SYMBOLS]) == 0.0


def test_what_waits_for_the_update_is_told_where_there_is_one(tmp_path: Path) -> None:
    def lag(**changed: str) -> list[float]:
        gauges = make_platform(tmp_path, **changed).metrics.gauges
        found = {each.family: [s.value for s in each.samples] for each in gauges.read(NOW)}
        return found.get(families.MONITORING_LAG, [])

    assert lag() == [0.0]
    platform = make_platform(tmp_path)
    platform.predict.predict("AAA", PredictionRequest("r", NOW - timedelta(hours=2)))
    assert lag() == [7200.0]
    platform.updates_of_all_lines().run(NOW)
    assert lag() == [0.0]
    assert lag(MONITOR_EVERY_SECONDS="0") == []
