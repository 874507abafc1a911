"""What is kept of a version's skill, and what is told of it."""

from dataclasses import dataclass, replace
from datetime import datetime

from mlengine.core.monitoring.skill.comparison import (
    ComparisonState,
    ComparisonStatus,
    add_difference,
    start_comparison,
)
from mlengine.core.monitoring.skill.evidence import (
    ALPHA,
    SkillEvidence,
    SkillState,
    SkillStatus,
    SkillTerms,
    add_date,
    skill_evidence,
    start_evidence,
)

TOO_SHORT_A_HOLDOUT = "holdout_too_short"


@dataclass(frozen=True)
class SkillRecord:
    """The dates of a version so far; `terms` and `state` are None where training says nothing.

    `gain` is the sum of the dates' gains. `changed_at` is when
    the status became what it is.
    """

    terms: SkillTerms | None
    state: SkillState | None
    comparison: ComparisonState
    dates: int = 0
    gain: float = 0.0
    changed_at: datetime | None = None

    @property
    def evidence(self) -> SkillEvidence | None:
        if self.terms is None or self.state is None:
            return None
        return skill_evidence(self.state, self.terms)

    @property
    def status(self) -> SkillStatus:
        """`undecided` too where training gives nothing to hold dates against."""
        evidence = self.evidence
        return evidence.status if evidence else "undecided"

    def with_date(self, gain: float, gain_over_other: float) -> "SkillRecord":
        """One more date, in their order."""
        state = self.state
        if state is not None and self.terms is not None:
            state = add_date(state, gain, self.terms)
        comparison = add_difference(self.comparison, gain_over_other)
        return replace(
            self,
            state=state,
            comparison=comparison,
            dates=self.dates + 1,
            gain=self.gain + gain,
        )


@dataclass(frozen=True)
class EarlierComparison:
    """Against the version that served before, on the same rows; `reason` says why there is none.

    `ahead_e_value` and `behind_e_value` are evidence for and against the model, to be held against
    20; `mean_gain` is the other's mean loss less the model's.
    """

    version: str | None
    status: ComparisonStatus
    dates: int
    mean_gain: float | None
    ahead_e_value: float
    behind_e_value: float
    reason: str | None


@dataclass(frozen=True)
class Skill:
    """Whether the model has still the skill that it was judged by.

    `status` is `proven` (its mean gain over the base rate is above zero), `lost` (it is below what
    training gave; of models that keep their skill one in twenty in five years, at most) or
    `undecided`. The gain of a date is the mean log-loss of the base rate less
    that of the model, or of expected returns their correlation about zero with what came;
    `trained_gain` is that of the `trained_dates` on which training judged the recipe (tests of
    folds, and the holdout), `trained_lower` the lower end of its interval. `evidence` is None where
    these are too few. `since` is when the status was reached, `threshold` what each e-value is held
    against.
    """

    status: SkillStatus
    since: datetime | None
    reason: str | None
    dates: int
    mean_gain: float | None
    trained_gain: float | None
    trained_lower: float | None
    trained_dates: int | None
    evidence: SkillEvidence | None
    against_earlier: EarlierComparison
    threshold: float = 1.0 / ALPHA


def start_record(terms: SkillTerms | None, *, steps_ahead: int) -> SkillRecord:
    """Before the first date."""
    state = start_evidence(terms) if terms else None
    return SkillRecord(terms, state, start_comparison(steps_ahead=steps_ahead))


def tell_skill(record: SkillRecord, *, version: str | None, reason: str | None) -> Skill:
    """The answer; `version` is the one that served before, `reason` why it can't be compared."""
    compared, terms = record.comparison, record.terms
    ahead, behind = compared.e_values
    return Skill(
        status=record.status,
        since=record.changed_at,
        reason=None if terms else TOO_SHORT_A_HOLDOUT,
        dates=record.dates,
        mean_gain=record.gain / record.dates if record.dates else None,
        trained_gain=terms.mean if terms else None,
        trained_lower=terms.lower if terms else None,
        trained_dates=terms.dates if terms else None,
        evidence=record.evidence,
        against_earlier=EarlierComparison(
            version=version,
            status=compared.status,
            dates=compared.dates,
            mean_gain=compared.total / compared.dates if compared.dates else None,
            ahead_e_value=ahead,
            behind_e_value=behind,
            reason=reason,
        ),
    )
