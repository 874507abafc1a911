"""How often training says too much: one small training here, the full forms as soak tests."""

import numpy as np
import pytest
from benchmarks.null_panels import NULL_PANELS, clustered, null_panel, planted
from benchmarks.schedule_trials import run
from benchmarks.small_trainings import build, judge, promoted, train

WITHOUT_DATA = [kind for kind in NULL_PANELS if kind != "real dates"]


def test_four_stamps_a_day_are_four_stamps_and_one_date_a_day():
    bars = null_panel("four stamps a day", 60, seed=1)
    assert bars["timestamp"].n_unique() == 240
    assert bars["timestamp"].dt.date().n_unique() == 60


def test_coins_trade_at_weekends_and_stocks_do_not():
    dates = null_panel("crypto with stocks", 70, seed=1).group_by("symbol").len()
    assert sorted(set(dates["len"].to_list())) == [50, 70]


def test_a_planted_sign_is_found_in_clustered_moves_and_judged():
    rng = np.random.default_rng(1)
    moves = clustered(rng, 3_000)
    assert np.corrcoef(moves[:, 0], moves[:, 1])[0, 1] > 0.2
    following = planted(rng, moves, strength=0.4)
    assert np.array_equal(np.abs(following), np.abs(moves))
    same_sign = np.mean(following[1:] * following[:-1] > 0.0)
    assert same_sign > 0.55


@pytest.mark.soak
@pytest.mark.parametrize("horizon", [1, 5, 20])
@pytest.mark.parametrize("kind", WITHOUT_DATA)
def test_panels_without_skill_get_few_edges_and_few_promotions(kind, horizon):
    words, gate = [], 0
    for seed in range(1, 301):
        data = build(null_panel(kind, 2_520, seed=seed), horizon)
        champion, challenger = train(data, seed=1), train(data, seed=2)
        words.append(judge(challenger).word)
        gate += promoted(champion, challenger)[0]
    assert words.count("edge") <= 12
    assert words.count("worse") <= 12
    assert gate <= 18


@pytest.mark.soak
@pytest.mark.parametrize("strength", [0.0, 0.2], ids=["noise", "planted"])
def test_forty_weekly_trainings_leave_a_usable_model_on_every_day(strength):
    line, _ = run(1, strength)["if_not_worse"]
    assert line.days_without == 0
