"""The promotion gate: whether a challenger becomes the active model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mlengine.core.training.spec import TrainSpec

SIGNIFICANCE_LEVEL = 0.05
COMPARING_POLICIES = ("if_better", "if_not_worse")


@dataclass(frozen=True)
class LearningTask:
    """What a model answers; losses of models that answer different questions say nothing.

    The universe is the membership file by its digest and the symbols that were asked for, whether
    or not each had bars: one that is new or gone for a while makes no other question.
    """

    objective: str
    label_transform: str
    horizon_bars: int
    label_delay_bars: int
    interval: str
    symbols: frozenset[str]
    universe_sha256: str | None

    @property
    def without_universe(self) -> LearningTask:
        """The same question asked of no symbols in particular."""
        return replace(self, symbols=frozenset(), universe_sha256=None)


@dataclass(frozen=True)
class Champion:
    """The active version as the gate sees it; `refusal` says why it can't be compared.

    `generation` is that of its activation, None where `ACTIVE` can't be read. `has_lost_skill` is
    what its live predictions have shown, `is_ageing` that they are soon refused for its age.
    """

    version: str
    generation: int | None
    refusal: str | None = None
    has_lost_skill: bool = False
    is_ageing: bool = False


@dataclass(frozen=True)
class GateTest:
    """Diebold-Mariano on the dates that both models had not seen, one-sided.

    `mean_difference` is the champion's loss less the challenger's, positive where the challenger
    is better; symbols count equally within a date, and dates equally. `decisions` counts the tests
    since the champion was activated, this one included, and `level` is what they leave for this
    one. `kernel` is `rectangular`, or `bartlett` where the variance was not above zero.
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
    """`losses`: challenger, constant and champion on the same rows, each row counting equally.

    Those are the common bars of both candidates, or the challenger's whole holdout where they
    could not be compared, and the champion's loss is then null. `test` is null where no test was
    made. `champion_generation` is that of the activation which made it champion.
    """

    policy: str
    promote: bool
    reason: str
    champion: str | None
    losses: Mapping[str, float | None]
    test: GateTest | None = None
    champion_generation: int | None = None


def learning_task(spec: TrainSpec, *, universe_sha256: str | None) -> LearningTask:
    """The question of a training; `universe_sha256` is the digest of its universe file."""
    return LearningTask(
        objective=spec.objective,
        label_transform=spec.label,
        horizon_bars=spec.horizon_bars,
        label_delay_bars=spec.label_delay_bars,
        interval=spec.interval,
        symbols=frozenset(spec.symbols),
        universe_sha256=universe_sha256,
    )


def bars_to_label_end(spec: TrainSpec) -> int:
    """How many bars after the forecast its outcome is known.

    With a label delay of d that is d + h: forecasts of dates up to d + h - 1 apart are made before
    the older one's outcome is known, and so err together, although only labels less than h apart
    share bars.
    """
    return spec.horizon_bars + spec.label_delay_bars


def significance_level(decisions: int) -> float:
    """What the p-value of the `decisions`-th test against one champion must lie below.

    5 % over the square of the number: 1 + 1/4 + 1/9 + ... is pi^2 / 6, so that a champion is
    replaced by an equal one in at most 8.2 % of cases however many challengers come and however
    their tests depend on each other (Bonferroni). Over the number alone there is no such limit,
    and the levels of a year of weekly challengers add up to 23 %.
    """
    return SIGNIFICANCE_LEVEL / decisions**2


def decide(
    policy: str,
    *,
    champion: Champion | None,
    losses: Mapping[str, float | None],
    test: GateTest | None,
    margin: float,
    reproducible: bool = True,
) -> Decision:
    """Apply `policy`; `test` is there whenever a choosing policy has a champion to compare with.

    A model that nobody can fit again is promoted under no policy: a person may activate it.

    `margin` is by how much the mean loss may be worse under `if_not_worse`. There a champion that
    has lost its skill gives way to any challenger that is no worse than a constant, by that margin,
    and an ageing one to any that is not worse beyond luck, the same trees included: else it would
    serve until nobody may use its answers.
    """
    if not reproducible:
        promote, reason = False, "not_reproducible"
    elif policy == "if_not_worse" and _is_unprotected(champion, losses, margin):
        promote, reason = True, "champion_lost_skill"
    else:
        promote, reason = _promotion_and_reason(policy, champion, test, margin)
    return Decision(
        policy=policy,
        promote=promote,
        reason=reason,
        champion=champion.version if champion else None,
        losses=losses,
        test=test,
        champion_generation=champion.generation if champion else None,
    )


def _is_unprotected(
    champion: Champion | None, losses: Mapping[str, float | None], margin: float
) -> bool:
    if champion is None or not champion.has_lost_skill:
        return False
    challenger, constant = losses.get("challenger"), losses.get("constant")
    if challenger is None or constant is None:
        return False
    answers_the_same = champion.refusal in (None, "not_enough_common_bars")
    return answers_the_same and challenger <= constant + margin


def _promotion_and_reason(
    policy: str, champion: Champion | None, test: GateTest | None, margin: float
) -> tuple[bool, str]:
    if policy not in COMPARING_POLICIES:
        return policy == "always", f"policy_{policy}"
    if champion is None:
        return True, "first_model"
    if policy == "if_not_worse" and _gives_way(champion, test, margin):
        return True, "champion_is_ageing"
    if test is None:
        return False, champion.refusal or "not_comparable"
    if policy == "if_not_worse":
        not_worse = test.mean_difference >= -margin
        return not_worse, "not_worse_than_champion" if not_worse else "worse_than_champion"
    better = test.p_value is not None and test.p_value < test.level
    return better, "better_than_champion" if better else "not_better_than_champion"


def _gives_way(champion: Champion, test: GateTest | None, margin: float) -> bool:
    """Whether only its age lets a champion be replaced: by the same trees, or without a lead.

    A lead is one beyond the margin and beyond luck at 5 %; one that never varies is.
    """
    if not champion.is_ageing:
        return False
    if test is None:
        return champion.refusal == "identical"
    if test.mean_difference >= -margin:
        return False
    return test.p_value is not None and 1.0 - test.p_value >= SIGNIFICANCE_LEVEL
