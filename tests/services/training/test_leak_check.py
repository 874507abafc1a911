from __future__ import annotations

import re

import polars as pl
import pytest
from tests.core.features.planted import CLEAN, CLOSE, LEAKS, WINDOW, a_set, feature, planted
from tests.factories import panel, random_bars

from mlengine.core.features import CORE, FeatureSet
from mlengine.errors import TrainingFailed
from mlengine.services.training.leak_check import refuse_leaks

BARS = panel(2, rows=90)


@pytest.mark.parametrize("leak", [leaks[0] for _, leaks in LEAKS.values()], ids=list(LEAKS))
def test_a_set_that_leaks_is_refused_with_feature_test_and_row(leak: FeatureSet) -> None:
    with pytest.raises(TrainingFailed) as refused:
        refuse_leaks(leak, BARS)
    said = str(refused.value)
    assert re.search(r"'leak' fails the test '[a-z-]+' at S0\d 2020-\d\d-\d\dT00:00:00Z: it", said)
    assert "mlengine features check planted" in said


def test_clean_sets_pass() -> None:
    for clean in (CLEAN[0], CLEAN[-1], CORE):
        refuse_leaks(clean, BARS)


def test_a_leak_in_the_longest_histories_is_found_among_many_symbols() -> None:
    late = pl.when(pl.col("symbol") == "LONG").then(CLOSE.shift(-1)).otherwise(CLOSE)
    bars = pl.concat([panel(9, rows=WINDOW), random_bars("LONG", rows=60)])
    with pytest.raises(TrainingFailed, match="LONG"):
        refuse_leaks(planted(late, 2), bars)


def test_what_can_not_be_tried_is_left_to_the_training() -> None:
    refuse_leaks(planted(CLOSE.shift(-1), 2), panel(2, rows=WINDOW))


def test_what_limits_the_check_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    refuse_leaks(CLEAN[0], BARS)
    assert not caplog.records
    refuse_leaks(CLEAN[0], BARS, polars_version="99.0.0")
    (record,) = caplog.records
    assert record.getMessage() == "leak check is limited"
    assert "Polars 99.0.0 may write fills" in vars(record)["note"]


def test_a_wrong_declaration_is_logged_and_refuses_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    declared = feature("level", CLOSE.log(), 1, scale_free=True)
    refuse_leaks(a_set("declared", declared), BARS)
    (record,) = caplog.records
    assert record.getMessage() == "feature is not scale free"
    assert "'level' fails the test 'scale'" in vars(record)["breach"]
