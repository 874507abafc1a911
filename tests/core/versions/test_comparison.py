import dataclasses
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from tests.factories import START
from tests.published import draft

from mlengine.core import metrics
from mlengine.core.versions.comparison import CommonRows, ScoredVersion, compare
from mlengine.core.versions.manifest import RowRange
from mlengine.core.versions.recipe_diff import RecipeDiff, recipe_diff

DAYS = 60
# Nobody's training reaches into these days.
BEFORE = START - timedelta(days=1)


def scored(version="v1", *, seed=1, since=0, trained=BEFORE, symbols=("A", "B"), **changed):
    """A version whose holdout begins `since` days after START, with scores from a seed."""
    rng = np.random.default_rng([7, len(symbols)])
    returns = rng.normal(0.0, 0.01, (DAYS, len(symbols))).ravel()
    holdout = pl.DataFrame(
        {
            "symbol": list(symbols) * DAYS,
            "timestamp": [START + timedelta(days=d) for d in range(DAYS) for _ in symbols],
            "label": (returns > 0).astype(float),
            "forward_return": returns,
            "score": np.random.default_rng(seed).uniform(0.4, 0.6, len(returns)),
        },
        schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
    ).filter(pl.col("timestamp") >= START + timedelta(days=since))
    manifest = draft(candidate_trained_through=trained, **changed)
    part = RowRange(START + timedelta(days=since), START + timedelta(days=DAYS - 1), holdout.height)
    split = dataclasses.replace(manifest.split, holdout=part)
    return ScoredVersion(dataclasses.replace(manifest, version=version, split=split), holdout)


def test_the_metrics_of_both_are_about_the_same_rows():
    a, b = scored("v1", seed=1, since=10), scored("v2", seed=2, since=30)
    found = compare(a, b)
    assert found.common == CommonRows(
        60, 30, 2, START + timedelta(days=30), START + timedelta(days=59)
    )
    rows = a.holdout.filter(pl.col("timestamp") >= START + timedelta(days=30))
    ups = rows["label"].to_numpy()
    by_name = {pair.metric: pair for pair in found.metrics}
    assert list(by_name) == ["log_loss", "brier", "auc", "accuracy"]
    assert by_name["auc"].a == metrics.auc(ups, rows["score"].to_numpy())
    assert by_name["auc"].b == metrics.auc(ups, b.holdout["score"].to_numpy())
    assert by_name["log_loss"].b == metrics.log_loss(ups, b.holdout["score"].to_numpy())
    assert found.correlation == pytest.approx(
        np.corrcoef(rows["score"].to_numpy(), b.holdout["score"].to_numpy())[0, 1]
    )
    assert found.test.dates == 30
    assert found.test.mean_difference == pytest.approx(
        by_name["log_loss"].a - by_name["log_loss"].b
    )
    assert (found.loss, found.reason) == ("log_loss", None)


def test_a_row_that_one_of_them_was_trained_on_does_not_count():
    late = scored("v2", since=0, trained=START + timedelta(days=40))
    assert compare(scored("v1"), late).common.start == START + timedelta(days=40)
    assert compare(late, scored("v3")).common.dates == 20


def test_the_other_way_round_is_the_same_table_turned():
    a, b = scored("v1", seed=1), scored("v2", seed=2)
    there, back = compare(a, b), compare(b, a)
    assert [(p.a, p.b) for p in there.metrics] == [(p.b, p.a) for p in back.metrics]
    assert there.test.statistic == pytest.approx(-back.test.statistic)
    assert there.correlation == pytest.approx(back.correlation)
    assert [(d.field, d.a, d.b) for d in there.recipe] == [(d.field, d.b, d.a) for d in back.recipe]


def test_revised_labels_are_those_of_the_newer_version():
    old, new = scored("v9", seed=1), scored("v10", seed=2)
    revised = new.holdout.with_columns(1.0 - pl.col("label"))
    new = dataclasses.replace(new, holdout=revised)
    for found in (compare(old, new), compare(new, old)):
        pair = next(p for p in found.metrics if p.metric == "auc")
        said = pair.b if found.b == "v10" else pair.a
        assert said == metrics.auc(revised["label"].to_numpy(), revised["score"].to_numpy())


def test_a_version_beside_itself_has_nothing_to_test():
    found = compare(scored("v1"), scored("v1"))
    assert found.correlation == pytest.approx(1.0)
    assert found.rank_correlation == pytest.approx(1.0)
    assert found.test.mean_difference == 0.0
    assert (found.test.statistic, found.recipe) == (None, ())


def test_a_constant_forecast_correlates_with_nothing():
    still = scored("v2")
    still = dataclasses.replace(still, holdout=still.holdout.with_columns(score=0.5))
    found = compare(scored("v1"), still)
    assert (found.correlation, found.rank_correlation) == (None, None)


@pytest.mark.parametrize("other", [{"symbols": ("C",)}, {"since": DAYS}])
def test_no_common_rows_are_said(other):
    found = compare(scored("v1"), scored("v2", **other))
    assert found.reason == "no_common_rows"
    assert (found.common, found.metrics, found.test, found.correlation) == (None, (), None, None)


def _spec(**changed):
    return {"spec": dataclasses.replace(draft().spec, **changed)}


@pytest.mark.parametrize(
    "change",
    [{"objective": "return"}, {"horizon_bars": 3}, {"label_delay_bars": 1}, {"interval": "1h"}],
)
def test_other_labels_are_not_compared_but_their_recipes_are(change):
    found = compare(scored("v1"), scored("v2", **_spec(**change)))
    assert found.reason == "not_comparable"
    assert found.metrics == ()
    (name,) = change
    assert f"spec.{name}" in [each.field for each in found.recipe]


def test_other_universes_are_compared_on_their_common_rows():
    wider = scored("v2", **_spec(symbols=("A", "B", "C")))
    assert compare(scored("v1"), wider).common.rows == 2 * DAYS


def test_a_score_among_other_symbols_is_another_label():
    change = {"objective": "return", "label": "cs_zscore"}
    a = scored("v1", **_spec(**change))
    assert compare(a, scored("v2", **_spec(**change))).reason is None
    other = scored("v2", **_spec(**change, symbols=("A",)))
    assert compare(a, other).reason == "not_comparable"


def test_the_hit_rate_of_z_scores_is_about_being_ahead_and_not_about_rising():
    change = _spec(objective="return", label="cs_zscore")
    ahead = (pl.int_range(pl.len()) % 2 * 2.0 - 1.0).alias("label")
    said = [ahead, ahead.alias("score"), pl.lit(-0.01).alias("forward_return")]
    told = [
        dataclasses.replace(s, holdout=s.holdout.with_columns(said))
        for s in (scored("v1", **change), scored("v2", **change))
    ]
    by_name = {pair.metric: pair.a for pair in compare(*told).metrics}
    assert by_name["hit_rate"] == 1.0


def test_returns_have_their_own_metrics():
    change = _spec(objective="return")
    a, b = (scored(v, seed=s, **change) for v, s in (("v1", 1), ("v2", 2)))
    a, b = (
        dataclasses.replace(
            s, holdout=s.holdout.with_columns(pl.col("forward_return").alias("label"))
        )
        for s in (a, b)
    )
    found = compare(a, b)
    assert [pair.metric for pair in found.metrics] == [
        "mse",
        "mae",
        "pooled_ic",
        "pooled_rank_ic",
        "hit_rate",
    ]
    assert found.loss == "mse"
    returns, scores = a.holdout["label"].to_numpy(), a.holdout["score"].to_numpy()
    by_name = {pair.metric: pair.a for pair in found.metrics}
    assert by_name["pooled_ic"] == pytest.approx(np.corrcoef(returns, scores)[0, 1])
    assert by_name["hit_rate"] == np.mean(returns > 0)


def test_a_price_that_stood_still_was_neither_hit_nor_missed():
    change = _spec(objective="return")
    still = [
        dataclasses.replace(
            s, holdout=s.holdout.with_columns(forward_return=pl.lit(0.0), label=pl.lit(0.0))
        )
        for s in (scored("v1", **change), scored("v2", **change))
    ]
    by_name = {pair.metric: pair.a for pair in compare(*still).metrics}
    assert by_name["hit_rate"] is None


def test_what_differs_is_named_field_by_field():
    a = draft(params={"max_bin": 63, "num_leaves": 4}, libraries={"numpy": "1"}, seed=1)
    b = draft(params={"max_bin": 255, "num_leaves": 4}, libraries={}, seed=2)
    assert recipe_diff(a, b) == (
        RecipeDiff("seed", 1, 2),
        RecipeDiff("params.max_bin", 63, 255),
        RecipeDiff("libraries.numpy", "1", None),
    )
    assert recipe_diff(a, a) == ()


def test_a_list_differs_as_a_whole():
    a = draft()
    b = dataclasses.replace(a, data=dataclasses.replace(a.data, symbols=("X", "Y")))
    assert recipe_diff(a, b) == (RecipeDiff("data.symbols", list(a.data.symbols), ["X", "Y"]),)
