"""The promotion gate: whether a challenger becomes the active model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Champion:
    """The active version as the gate sees it; `loss` on rows of the challenger's holdout.

    `loss` is None when the two can't be compared, and `reason` then says why.
    """

    version: str
    fingerprint: str
    loss: float | None
    reason: str | None = None


@dataclass(frozen=True)
class GateTest:
    """Diebold-Mariano on the dates that both models had not seen, one-sided.

    `mean_difference` is the champion's loss less the challenger's, positive where the challenger
    is better. `level` is that of a single test divided by `decisions`: how many have been made
    since the champion was activated, this one included. `kernel` is `rectangular`, or `bartlett`
    where the variance was not above zero.
    """

    dates: int
    rows: int
    mean_difference: float
    statistic: float | None
    p_value: float | None
    level: float
    decisions: int
    kernel: str
    lags: int


@dataclass(frozen=True)
class Decision:
    """`losses`: challenger, constant and champion (null without one) on the same rows.

    Those are the rows of the holdout that the champion was not trained on, so the challenger's
    loss is that of its metrics only where the champion had seen none of them.
    """

    policy: str
    promote: bool
    reason: str
    champion: str | None
    losses: Mapping[str, float | None]
    test: GateTest | None = None


def decide(
    policy: str,
    *,
    challenger_loss: float,
    challenger_fingerprint: str,
    constant_loss: float,
    champion: Champion | None,
) -> Decision:
    """Apply `policy`; smaller losses are better, and only a strictly smaller one wins."""
    promote, reason = _verdict(
        policy, challenger_loss, challenger_fingerprint, constant_loss, champion
    )
    return Decision(
        policy=policy,
        promote=promote,
        reason=reason,
        champion=champion.version if champion else None,
        losses={
            "challenger": challenger_loss,
            "constant": constant_loss,
            "champion": champion.loss if champion else None,
        },
    )


def _verdict(
    policy: str, loss: float, fingerprint: str, constant: float, champion: Champion | None
) -> tuple[bool, str]:
    if policy in ("always", "never"):
        return policy == "always", f"policy_{policy}"
    if champion is None:
        return True, "first_model"
    if champion.loss is None:
        return False, champion.reason or "not_comparable"
    if champion.fingerprint == fingerprint:
        return False, "identical"
    return _compare(policy, loss, constant, champion.loss)


def _compare(policy: str, loss: float, constant: float, champion: float) -> tuple[bool, str]:
    if policy == "if_not_worse":
        not_worse = loss <= champion
        return not_worse, "not_worse_than_champion" if not_worse else "worse_than_champion"
    if not loss < constant:
        return False, "not_better_than_constant"
    better = loss < champion
    return better, "better_than_champion" if better else "not_better_than_champion"
