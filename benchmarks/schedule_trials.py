"""Is there a usable model on every day? `python -m benchmarks.schedule_trials` retrains each week.

Forty weekly trainings, the newest 2,520 dates each, with models that are too old after 30 days: the
limits of the production profile. Noise, and a planted signal. Three policies: `if_better`; a plain
`if_not_worse`, under which an ageing champion has no other rule than a young one; and that of
scheduled trainings.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from benchmarks.null_panels import bars_of, clustered, planted
from benchmarks.small_trainings import Trained, build, compare, train

from mlengine.core.predictions.usability import ModelAge
from mlengine.core.promotion.gate import Champion, Decision, decide
from mlengine.core.training.dataset import Dataset

WEEKS, DATES, WEEK, MAX_DAYS, MARGIN = 40, 2_520, 7, 30, 0.001
FIRST_DAY = datetime(2005, 1, 3, tzinfo=UTC)
POLICIES = {
    "if_better": ("if_better", False),
    "if_not_worse, plain": ("if_not_worse", False),
    "if_not_worse": ("if_not_worse", True),
}


@dataclass
class Line:
    """The models of one policy: who serves since when, and what the gate said."""

    policy: str
    with_age: bool
    serving: Trained
    age: ModelAge
    tests: int = 0
    days_without: int = 0
    longest: int = 0

    def take(self, challenger: Trained, dataset: Dataset, now: datetime) -> Decision:
        """A week passes day by day, then the gate decides."""
        for day in range(WEEK):
            self.days_without += self.age.is_too_old(now - timedelta(days=day + 1))
        self.longest = max(self.longest, (now - self.age.created_at).days)
        is_same = self.serving.fingerprint == challenger.fingerprint
        scores = self.serving.scorer.score(dataset.matrix(challenger.rows))
        self.tests += not is_same
        test = None if is_same else compare(challenger, scores, decisions=self.tests)
        champion = Champion(
            "v1", 1, "identical" if is_same else None, self.with_age and self.age.is_ageing(now)
        )
        found = decide(self.policy, champion=champion, losses={}, test=test, margin=MARGIN)
        if found.promote:
            self.serving, self.age, self.tests = challenger, ModelAge(now, MAX_DAYS), 0
        return found


def run(seed: int, strength: float) -> dict[str, tuple[Line, Counter[str]]]:
    """One platform's forty weeks under each policy."""
    rng = np.random.default_rng(seed)
    moves = clustered(rng, DATES + WEEK * WEEKS)
    moves = planted(rng, moves, strength=strength) if strength else moves
    whole = build(bars_of(moves, rng), 5)
    first, age = train(_known(whole, FIRST_DAY, DATES), seed=1), _age(DATES)
    lines = {
        name: (Line(policy, with_age, first, age), Counter[str]())
        for name, (policy, with_age) in POLICIES.items()
    }
    for week in range(1, WEEKS + 1):
        date = DATES + WEEK * week
        dataset = _known(whole, FIRST_DAY + timedelta(days=WEEK * week), date)
        challenger = train(dataset, seed=1)
        for line, reasons in lines.values():
            decision = line.take(challenger, dataset, FIRST_DAY + timedelta(days=date))
            reasons[decision.reason] += 1
    return lines


def _age(date: int) -> ModelAge:
    return ModelAge(FIRST_DAY + timedelta(days=date), MAX_DAYS)


def _known(dataset: Dataset, since: datetime, date: int) -> Dataset:
    """The rows whose labels are known before this date, of its newest 2,520 dates."""
    known = pl.col("label_ends") < FIRST_DAY + timedelta(days=date)
    return Dataset(
        dataset.frame.filter(known & (pl.col("timestamp") >= since)), dataset.feature_names
    )


def main() -> None:
    """Print one row a policy."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--platforms", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print("| signal | policy | platforms | usable | days without | oldest | reasons | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, strength in (("noise", 0.0), ("planted", 0.2)):
        started = time.process_time()
        found = [run(seed, strength) for seed in range(asked.seed, asked.seed + asked.platforms)]
        for policy in POLICIES:
            lines = [each[policy][0] for each in found]
            reasons = sum((each[policy][1] for each in found), Counter[str]())
            told = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
            print(
                f"| {name} | {policy} | {len(lines)} | {sum(not e.days_without for e in lines)}"
                f" | {sum(e.days_without for e in lines)} | {max(e.longest for e in lines)} d"
                f" | {told} | {time.process_time() - started:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
