import dataclasses
import math

import pytest
from tests.core.small_features import SPEC

from mlengine.core.promotion.gate import (
    Champion,
    Decision,
    GateTest,
    bars_to_label_end,
    decide,
    learning_task,
    significance_level,
)

LOSSES = {"challenger": 0.68, "constant": 0.69, "champion": 0.685}


def _test(p_value=0.01, difference=0.005, decisions=1):
    return GateTest(
        dates=300,
        rows=900,
        mean_difference=difference,
        statistic=2.3,
        p_value=p_value,
        level=significance_level(decisions),
        decisions=decisions,
        kernel="rectangular",
        lags=4,
    )


STANDING = Champion("v3", 7)


def _decide(policy="if_better", *, champion=STANDING, test=None, margin=0.001):
    return decide(policy, champion=champion, losses=LOSSES, test=test, margin=margin)


def test_a_challenger_that_is_better_beyond_luck_is_promoted():
    assert _decide(test=_test()) == Decision(
        policy="if_better",
        promote=True,
        reason="better_than_champion",
        champion="v3",
        losses=LOSSES,
        test=_test(),
        champion_generation=7,
    )


@pytest.mark.parametrize("p_value", [0.05, 0.3, None, math.nan])
def test_otherwise_the_champion_stays(p_value):
    decision = _decide(test=_test(p_value))
    assert (decision.promote, decision.reason) == (False, "not_better_than_champion")


def test_the_level_falls_with_every_test_against_the_same_champion():
    assert [significance_level(n) for n in (1, 2, 3)] == [0.05, 0.05 / 4, 0.05 / 9]
    assert _decide(test=_test(0.02, decisions=1)).promote
    assert not _decide(test=_test(0.02, decisions=2)).promote
    # However many come, equal challengers together have less than one chance in ten.
    assert sum(significance_level(n) for n in range(1, 100_000)) < 0.0823


@pytest.mark.parametrize("policy", ["if_better", "if_not_worse"])
def test_the_first_model_is_activated(policy):
    decision = _decide(policy, champion=None)
    assert (decision.promote, decision.reason) == (True, "first_model")
    assert (decision.champion, decision.champion_generation) == (None, None)


@pytest.mark.parametrize("policy", ["if_better", "if_not_worse"])
@pytest.mark.parametrize(
    "refusal", ["identical", "not_comparable", "champion_unusable", "not_enough_common_bars"]
)
def test_a_champion_that_can_not_be_compared_stays(policy, refusal):
    decision = _decide(policy, champion=Champion("v3", 7, refusal))
    assert (decision.promote, decision.reason) == (False, refusal)


@pytest.mark.parametrize(
    ("difference", "promote", "reason"),
    [
        (0.1, True, "not_worse_than_champion"),
        (-0.001, True, "not_worse_than_champion"),
        (-0.00101, False, "worse_than_champion"),
        (math.nan, False, "worse_than_champion"),
    ],
)
def test_if_not_worse_bears_a_loss_up_to_the_margin(difference, promote, reason):
    decision = _decide("if_not_worse", test=_test(1.0, difference))
    assert (decision.promote, decision.reason) == (promote, reason)


def test_always_and_never_do_not_look():
    assert _decide("always", test=_test(1.0)).promote
    assert not _decide("never", champion=None).promote
    assert _decide("never").reason == "policy_never"


@pytest.mark.parametrize(
    "change",
    [
        {"objective": "return"},
        {"label": "cs_zscore"},
        {"horizon_bars": 3},
        {"label_delay_bars": 1},
        {"interval": "1h"},
        {"symbols": ("S00", "S01")},
    ],
)
def test_whatever_changes_the_label_or_the_universe_changes_the_question(change):
    asked = learning_task(SPEC, universe_sha256=None)
    other = learning_task(dataclasses.replace(SPEC, **change), universe_sha256=None)
    assert asked != other
    assert (asked.without_universe == other.without_universe) == ("symbols" in change)


def test_another_universe_file_is_another_question_and_the_order_of_symbols_is_none():
    asked = learning_task(SPEC, universe_sha256="a")
    assert asked != learning_task(SPEC, universe_sha256="b")
    turned = dataclasses.replace(SPEC, symbols=SPEC.symbols[::-1], seed=3, rounds=7, note="n")
    assert asked == learning_task(turned, universe_sha256="a")


def test_a_label_that_begins_later_is_known_later():
    assert bars_to_label_end(SPEC) == 5
    assert bars_to_label_end(dataclasses.replace(SPEC, label_delay_bars=1)) == 6


@pytest.mark.parametrize(
    ("policy", "refusal", "constant", "reason"),
    [
        ("if_not_worse", None, 0.69, "champion_lost_skill"),
        ("if_not_worse", "not_enough_common_bars", 0.69, "champion_lost_skill"),
        ("if_not_worse", None, 0.6791, "champion_lost_skill"),
        ("if_not_worse", None, 0.6789, "worse_than_champion"),
        ("if_not_worse", "not_comparable", 0.69, "not_comparable"),
        ("if_not_worse", "identical", 0.69, "identical"),
        ("if_better", None, 0.69, "not_better_than_champion"),
    ],
)
def test_a_champion_that_has_lost_its_skill_protects_no_place(policy, refusal, constant, reason):
    decision = decide(
        policy,
        champion=Champion("v3", 7, refusal, has_lost_skill=True),
        losses={**LOSSES, "constant": constant},
        test=None if refusal else _test(0.9, -0.01),
        margin=0.001,
    )
    assert (decision.reason, decision.promote) == (reason, reason == "champion_lost_skill")


AGEING = dataclasses.replace(STANDING, is_ageing=True)


@pytest.mark.parametrize(
    ("difference", "p_value", "reason"),
    [
        (0.0, 0.5, "not_worse_than_champion"),
        (-0.004, 0.9, "champion_is_ageing"),
        (-0.004, 0.96, "worse_than_champion"),
        (-0.004, None, "worse_than_champion"),
    ],
)
def test_an_ageing_champion_gives_way_to_what_is_not_worse_beyond_luck(difference, p_value, reason):
    test = _test(p_value, difference)
    assert _decide("if_not_worse", champion=AGEING, test=test).reason == reason
    young = _decide("if_not_worse", test=test)
    assert young.promote == (difference >= -0.001)
    # Under if_better nothing is due to an age.
    assert _decide(champion=AGEING, test=test).reason == "not_better_than_champion"


def test_an_ageing_champion_gives_way_to_the_same_trees_but_to_no_other_question():
    for refusal, promote in (("identical", True), ("not_comparable", False)):
        champion = dataclasses.replace(AGEING, refusal=refusal)
        assert _decide("if_not_worse", champion=champion).promote == promote


@pytest.mark.parametrize("policy", ["always", "if_better", "if_not_worse", "never"])
@pytest.mark.parametrize(
    "champion", [None, STANDING, dataclasses.replace(STANDING, has_lost_skill=True)]
)
def test_what_nobody_can_fit_again_is_promoted_under_no_policy(policy, champion):
    decision = decide(
        policy, champion=champion, losses=LOSSES, test=None, margin=1.0, reproducible=False
    )
    assert (decision.promote, decision.reason) == (False, "not_reproducible")
    assert decision.champion == (champion and champion.version)
