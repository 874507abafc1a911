import dataclasses
import math

import numpy as np
import pytest
from tests.core.metrics.rows import DAY, actuals, at, correlated

from mlengine.core.metrics import Actuals, Baseline, auc, baseline, evaluate, log_loss

BASELINE = Baseline(up_rate=0.6, mean_label=0.01)


def _evaluate(objective, rows, scores, *, base=BASELINE, horizon_bars=1, seed=1, **options):
    return evaluate(
        objective,
        actuals=rows,
        scores=np.asarray(scores, dtype=np.float64).ravel(),
        baseline=base,
        horizon_bars=horizon_bars,
        cost_bps=5.0,
        seed=seed,
        **options,
    )


FOUR = actuals([[0.02, -0.01], [0.03, -0.02]], last=[[0.01, 0.01], [-0.01, -0.01]])
SHARED = ["auc", "auc_by_symbol", "ic", "icir", "rank_ic", "rank_icir", "ic_time", "hit_rate"]


def _panel(symbols, *, dates=200, skill=(0.0, 0.0), seed=1):
    """Moves and a score that knows `skill` of them, in the first half and in the second."""
    rng = np.random.default_rng(seed)
    moves = 0.02 * correlated(rng, dates=dates, symbols=symbols, correlation=0.4)
    known = np.repeat(skill, dates // 2)[:, None] * moves
    return moves, known + 0.02 * rng.normal(size=moves.shape)


def test_every_direction_metric_stands_beside_its_baseline():
    measured = _evaluate("direction", FOUR, [0.7, 0.4, 0.6, 0.5]).metrics
    assert {name: (m.baseline_kind, m.baseline) for name, m in measured.items()} == {
        "auc": ("coin_flip", 0.5),
        "auc_by_symbol": ("coin_flip", 0.5),
        "log_loss": ("training_rate", pytest.approx(-(math.log(0.6) + math.log(0.4)) / 2)),
        "brier": ("training_rate", pytest.approx((0.16 + 0.36) / 2)),
        "accuracy": ("majority_class", 0.5),
        **dict.fromkeys(("ic", "icir", "rank_ic", "rank_icir", "ic_time"), ("no_skill", 0.0)),
        "hit_rate": ("majority_class", 0.5),
    }
    assert measured["auc"].value == 1.0
    assert measured["auc"].other_baselines == {"last_return_sign": 0.5}
    # A probability of exactly one half says up, as the answer of /predict does.
    assert measured["accuracy"].value == 0.75
    assert measured["accuracy"].other_baselines == {"last_return_sign": 0.5}


def test_majority_class_is_the_training_parts_not_the_holdouts():
    falling = actuals([[-1, -1], [-1, 1]], last=[[1, -1], [-1, 1]])
    measured = _evaluate("direction", falling, np.full(4, 0.2), base=Baseline(0.9, 0.0)).metrics
    for name in ("accuracy", "hit_rate"):
        assert measured[name].baseline == 0.25
        assert measured[name].other_baselines == {"last_return_sign": 0.75}


def test_every_return_metric_stands_beside_its_baseline():
    evaluation = _evaluate("return", FOUR, [0.01, 0.0, 0.02, -0.01])
    measured = evaluation.metrics
    assert sorted(measured) == sorted(["mse", "mae", *SHARED])
    assert measured["mse"].value == pytest.approx(1e-4)
    assert measured["mse"].baseline == pytest.approx((4 + 1 + 9 + 4) * 1e-4 / 4)
    assert measured["mse"].other_baselines == {
        "training_mean": pytest.approx((1 + 4 + 4 + 9) * 1e-4 / 4)
    }
    assert measured["mae"].baseline == pytest.approx(0.02)
    assert measured["hit_rate"].value == 1.0
    assert measured["hit_rate"].other_baselines == {"last_return_sign": 0.5}
    assert evaluation.calibration is None


def test_an_exact_zero_is_down_for_accuracy_and_not_counted_by_the_hit_rate():
    rows = actuals([[0.01, 0.0], [-0.01, 0.0]])
    measured = _evaluate("direction", rows, [0.6, 0.6, 0.6, 0.6]).metrics
    assert measured["accuracy"].value == 0.25
    assert measured["hit_rate"].value == 0.5
    still = _evaluate("direction", actuals([[0.0]] * 3), np.full(3, 0.4)).metrics["hit_rate"]
    assert (still.value, still.reason) == (None, "no row moved")


def test_what_is_not_defined_is_null_and_says_why():
    rising = actuals([[1.0], [2.0]])
    measured = _evaluate("direction", rising, [0.5, 0.6]).metrics
    assert measured["auc"].value is None
    assert measured["auc"].other_baselines == {"last_return_sign": None}
    assert measured["auc"].reason == "all rows moved the same way"
    assert measured["rank_ic"].reason == "no date has 10 symbols"
    assert "no symbol has 10 rows" in measured["ic_time"].reason


def test_correlations_by_date_are_null_below_ten_symbols_and_there_from_ten_on():
    for name in ("ic", "icir", "rank_ic", "rank_icir"):
        few = _evaluate("return", *_rows_and_scores(9)).metrics[name]
        assert (few.value, few.low, few.reason) == (None, None, "no date has 10 symbols")
        enough = _evaluate("return", *_rows_and_scores(10)).metrics[name]
        assert enough.reason is None
        assert enough.low < enough.value < enough.high


def _rows_and_scores(symbols, **options):
    moves, scores = _panel(symbols, **options)
    return actuals(moves), scores


def test_values_are_the_plain_ones_to_the_last_digit():
    moves, scores = _panel(4)
    p = 1.0 / (1.0 + np.exp(-20.0 * scores.ravel()))
    rows = actuals(moves)
    measured = _evaluate("direction", rows, p).metrics
    assert measured["auc"].value == auc(rows.actual_up, p)
    assert measured["log_loss"].value == log_loss(rows.actual_up, p)


RIGHT, WRONG, FIRST_RIGHT = (0.5, 0.5), (-0.5, -0.5), (0.5, -0.5)
WORDS = [(RIGHT, "edge"), (FIRST_RIGHT, "no_edge"), (WRONG, "worse")]


def test_the_verdict_on_a_direction_is_by_auc_and_on_a_return_by_rank_ic_or_over_time():
    for symbols, metric in ((4, "ic_time"), (10, "rank_ic")):
        for skill, word in WORDS:
            found = _evaluate("return", *_rows_and_scores(symbols, skill=skill))
            verdict = found.verdict
            assert (verdict.verdict, verdict.metric, verdict.null) == (word, metric, 0.0)
            primary = found.metrics[metric]
            assert (verdict.value, verdict.low, verdict.high) == (
                primary.value,
                primary.low,
                primary.high,
            )
    for skill, word in WORDS:
        rows, scores = _rows_and_scores(4, skill=skill)
        verdict = _evaluate("direction", rows, 1.0 / (1.0 + np.exp(-20.0 * scores))).verdict
        assert (verdict.verdict, verdict.metric, verdict.null) == (word, "auc", 0.5)


def test_a_few_dates_with_ten_symbols_do_not_make_rank_ic_the_judge():
    moves, scores = _panel(10, skill=RIGHT)
    for bare, metric in ((99, "rank_ic"), (101, "ic_time")):
        moves[:bare, 0] = math.nan
        found = _evaluate("return", actuals(moves), scores[np.isfinite(moves)])
        assert found.metrics["rank_ic"].value is not None
        assert found.verdict.metric == metric


def test_other_intervals_never_vote():
    # Every probability is far too high, but their order is right: an edge, by AUC alone.
    rows, scores = _rows_and_scores(4, skill=RIGHT)
    found = _evaluate("direction", rows, 1.0 - 0.01 / (1.0 + np.exp(20.0 * scores)))
    log_losses = found.metrics["log_loss"]
    assert log_losses.low > log_losses.baseline
    assert found.verdict.verdict == "edge"


def test_each_recipe_on_the_same_dates_makes_the_verdict_stricter():
    rows, scores = _rows_and_scores(4, skill=(0.2, 0.2))
    found = [_evaluate("return", rows, scores, recipes=recipes) for recipes in (1, 2, 40)]
    assert [each.verdict.verdict for each in found] == ["edge", "edge", "no_edge"]
    assert [each.verdict.level for each in found] == [0.95, 1.0 - 0.05 / 4, 1.0 - 0.05 / 1600]
    assert found[0].metrics == found[2].metrics
    lows = [each.verdict.low for each in found]
    assert lows == sorted(lows, reverse=True)


def test_skill_against_a_baseline_is_a_paired_difference():
    """All values swing with the dates, and the baseline's swing with them."""
    rows, scores = _rows_and_scores(4, dates=400, skill=RIGHT)
    p = 0.5 + 0.02 * np.sign(scores)
    found = _evaluate("direction", rows, p, base=Baseline(0.5, 0.0)).metrics
    for name, sign in (("log_loss", -1.0), ("brier", -1.0), ("accuracy", 1.0), ("hit_rate", 1.0)):
        each = found[name]
        assert each.improvement == pytest.approx(sign * (each.value - each.baseline), abs=1e-12)
        assert each.improvement_low < each.improvement < each.improvement_high
    loss = found["log_loss"]
    assert loss.improvement_low > 0.0
    assert (found["auc"].improvement, found["ic_time"].improvement) == (None, None)
    flat = _evaluate("direction", rows, np.full(len(rows.timestamps), 0.6)).metrics["log_loss"]
    assert (flat.improvement, flat.improvement_low, flat.improvement_high) == (0.0, 0.0, 0.0)


def test_four_time_stamps_a_day_are_one_date():
    """Four markets that move as one and stamp their bars at other hours tell no more than one."""
    moves, scores = _panel(4, dates=400, skill=(0.0, 0.0))
    moves, scores = np.repeat(moves[:, :1], 4, axis=1), np.repeat(scores[:, :1], 4, axis=1)
    rows = actuals(moves)
    at_hours = dataclasses.replace(
        rows, timestamps=rows.timestamps + (rows.symbols - 100) * (DAY // 4)
    )
    together, apart = (_evaluate("return", each, scores) for each in (rows, at_hours))
    assert (apart.dates, apart.bootstrap.block_dates) == (400, 50)
    for name in ("mse", "ic_time"):
        one, four = together.metrics[name], apart.metrics[name]
        assert (four.low, four.high) == pytest.approx((one.low, one.high), rel=1e-9)


def test_a_part_shorter_than_five_blocks_has_values_but_no_interval_and_no_edge():
    moves, scores = _panel(4, dates=198, skill=(5.0, 5.0))
    rows = actuals(moves, horizon_bars=20)
    found = _evaluate("return", rows, scores, horizon_bars=20)
    assert found.bootstrap.block_dates == 40
    assert found.metrics["ic_time"].value > 0.5
    assert found.metrics["ic_time"].low is None
    assert "too few dates for an interval" in found.metrics["ic_time"].reason
    assert found.verdict.verdict == "no_edge"


def test_an_interval_that_most_draws_can_not_give_is_null_with_its_reason():
    """One row of a hundred rose: every third draw is without it, and has no AUC."""
    moves = np.full((100, 1), -0.01)
    moves[50] = 0.01
    found = _evaluate("direction", actuals(moves), np.linspace(0.4, 0.6, 100)).metrics["auc"]
    assert found.value is not None
    assert (found.low, found.high) == (None, None)
    assert found.reason == "no interval: it is not defined on many of the draws"


def test_constant_scores_show_no_edge():
    rows, _ = _rows_and_scores(12)
    for objective, score, metric in (("direction", 0.5, "auc"), ("return", 0.01, "rank_ic")):
        found = _evaluate(objective, rows, np.full(len(rows.timestamps), score))
        assert (found.verdict.verdict, found.verdict.metric) == ("no_edge", metric)
    assert found.metrics["rank_ic"].reason == "the scores of every date are equal"


def test_relative_labels_are_what_relative_scores_are_compared_with():
    moves, scores = _panel(12, skill=RIGHT)
    ahead = (moves - moves.mean(axis=1, keepdims=True)) / moves.std(axis=1, ddof=1, keepdims=True)
    rows = actuals(moves, labels=ahead)
    base = baseline(rows.forward_returns, rows.labels)
    found = _evaluate("return", rows, 30.0 * scores, base=base, transform="cs_zscore")
    measured = found.metrics
    assert measured["mse"].value == pytest.approx(
        np.mean(np.square(rows.labels - 30.0 * scores.ravel()))
    )
    assert (measured["mse"].baseline_kind, measured["mse"].baseline) == (
        "zero_score",
        pytest.approx(np.mean(np.square(rows.labels))),
    )
    right = (rows.labels > 0.0) == (scores.ravel() > 0.0)
    assert measured["hit_rate"].value == pytest.approx(right.mean())
    assert (measured["hit_rate"].baseline_kind, measured["hit_rate"].baseline) == ("coin_flip", 0.5)
    # A z-score keeps the order and the distances within its date.
    raw = _evaluate("return", actuals(moves), 30.0 * scores).metrics
    for name in ("ic", "rank_ic"):
        assert measured[name].value == pytest.approx(raw[name].value, abs=1e-12)
    assert found.sign_rule == _evaluate("return", actuals(moves), 30.0 * scores).sign_rule


def test_the_evaluation_counts_rows_dates_and_symbols_and_records_its_draws():
    moves, scores = _panel(3, dates=150)
    rows = actuals(moves, horizon_bars=15)
    found = _evaluate("return", rows, scores, horizon_bars=15, seed=9)
    assert (found.rows, found.dates, found.symbols) == (450, 150, 3)
    assert dataclasses.astuple(found.bootstrap) == (30, 1000, 9, 0.95)


def test_the_same_seed_gives_the_same_evaluation_in_any_order_of_rows():
    rows, scores = _rows_and_scores(4, dates=120)
    again = _evaluate("return", rows, scores)
    assert _evaluate("return", rows, scores) == again
    assert _evaluate("return", rows, scores, seed=2) != again
    order = np.random.default_rng(1).permutation(len(rows.timestamps))
    shuffled = _evaluate("return", at(rows, order), scores.ravel()[order])
    assert shuffled.verdict.low == pytest.approx(again.verdict.low, abs=1e-12)
    assert shuffled.sign_rule.net_low == pytest.approx(again.sign_rule.net_low, abs=1e-15)


def test_dates_may_be_missing_for_some_symbols():
    moves, scores = _panel(11, dates=120, skill=RIGHT)
    moves[20:50, 3] = math.nan
    kept = np.isfinite(moves)
    rows: Actuals = actuals(moves)
    found = _evaluate("return", rows, scores[kept])
    assert found.rows == 11 * 120 - 30
    assert found.verdict.verdict == "edge"
    assert found.metrics["rank_ic"].value > 0.2
