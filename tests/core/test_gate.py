import math

import pytest

from mlengine.core.gate import Champion, Decision, decide


def _decide(policy="if_better", *, loss=0.68, constant=0.69, champion=0.685, standing=None):
    if standing is None and champion is not None:
        standing = Champion("v3", "aaa", champion)
    return decide(
        policy,
        challenger_loss=loss,
        challenger_fingerprint="bbb",
        constant_loss=constant,
        champion=standing,
    )


def test_a_challenger_that_beats_constant_and_champion_is_promoted():
    assert _decide() == Decision(
        policy="if_better",
        promote=True,
        reason="better_than_champion",
        champion="v3",
        losses={"challenger": 0.68, "constant": 0.69, "champion": 0.685},
    )


@pytest.mark.parametrize(
    ("losses", "reason"),
    [
        ({"loss": 0.70, "champion": 0.80}, "not_better_than_constant"),
        ({"loss": 0.69, "champion": 0.80}, "not_better_than_constant"),
        ({"loss": 0.685}, "not_better_than_champion"),
        ({"loss": 0.687}, "not_better_than_champion"),
        ({"loss": math.nan}, "not_better_than_constant"),
    ],
)
def test_otherwise_the_champion_stays(losses, reason):
    decision = _decide(**losses)
    assert (decision.promote, decision.reason) == (False, reason)


@pytest.mark.parametrize("policy", ["if_better", "if_not_worse"])
def test_the_first_model_is_activated_whatever_its_loss(policy):
    decision = _decide(policy, loss=9.0, champion=None)
    assert (decision.promote, decision.reason) == (True, "first_model")
    assert decision.losses["champion"] is None


@pytest.mark.parametrize("policy", ["if_better", "if_not_worse"])
def test_the_same_model_again_is_not_promoted(policy):
    decision = _decide(policy, standing=Champion("v3", "bbb", 0.68))
    assert (decision.promote, decision.reason) == (False, "identical")


@pytest.mark.parametrize("policy", ["if_better", "if_not_worse"])
@pytest.mark.parametrize("reason", [None, "champion_unusable"])
def test_a_champion_that_can_not_be_compared_stays(policy, reason):
    decision = _decide(policy, standing=Champion("v3", "aaa", None, reason))
    assert (decision.promote, decision.reason) == (False, reason or "not_comparable")


@pytest.mark.parametrize(
    ("loss", "promote", "reason"),
    [
        (0.685, True, "not_worse_than_champion"),
        (0.68501, False, "worse_than_champion"),
        (0.60, True, "not_worse_than_champion"),
    ],
)
def test_if_not_worse_asks_for_no_more_than_the_champions_loss(loss, promote, reason):
    decision = _decide("if_not_worse", loss=loss, constant=0.1)
    assert (decision.promote, decision.reason) == (promote, reason)


def test_always_and_never_do_not_look():
    assert _decide("always", loss=9.0).promote
    assert not _decide("never", loss=0.1, champion=None).promote
    assert _decide("never").reason == "policy_never"
