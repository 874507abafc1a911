"""Live performance as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlengine.cli.output import format_cell, table

if TYPE_CHECKING:
    from mlengine.core.monitoring.skill.report import Skill
    from mlengine.core.outcomes.report import Coverage, Performance

_MOST_SYMBOLS = 20


def describe_performance(answer: Performance) -> str:
    """Coverage, figures beside those of the training, skill, and the first symbols."""
    figures = [
        [name, live.value, live.low, live.high, live.baseline, trained and trained.value]
        for name, live in answer.metrics.items()
        for trained in [answer.training.metrics.get(name)]
    ]
    symbols = [
        [each.name, each.rows, each.loss, each.baseline_loss, each.hit_rate, each.auc]
        for each in answer.by_symbol[:_MOST_SYMBOLS]
    ]
    parts = [
        f"{answer.model_version}: {answer.rows} outcomes of {answer.dates} dates, "
        f"{answer.symbols} symbols, from {format_cell(answer.first_bar)} "
        f"to {format_cell(answer.last_bar)}",
        _coverage(answer.coverage),
        *_skill(answer.skill),
        table(["metric", "live", "low", "high", "baseline", "in training"], figures),
        table(["symbol", "rows", "loss", "of base rate", "hit rate", "auc"], symbols),
    ]
    left_out = len(answer.by_symbol) - _MOST_SYMBOLS
    return "\n".join([*parts, f"and {left_out} more" if left_out > 0 else ""]).rstrip()


def _coverage(coverage: Coverage) -> str:
    reasons = ", ".join(f"{name} {rows}" for name, rows in coverage.void_reasons.items())
    return (
        f"due {coverage.due}: scored {coverage.scored}, void {coverage.void}"
        f"{f' ({reasons})' if reasons else ''}, waiting for bars {coverage.pending}; "
        f"not due yet {coverage.not_due}, asked too late {coverage.late}"
    )


def _skill(skill: Skill) -> list[str]:
    evidence, earlier = skill.evidence, skill.against_earlier
    lines = [
        f"skill: {skill.status}{f' ({skill.reason})' if skill.reason else ''} after "
        f"{skill.dates} dates, gain a date {format_cell(skill.mean_gain)}, "
        f"in training {format_cell(skill.trained_gain)} on {format_cell(skill.trained_dates)} dates"
    ]
    if evidence:
        lines.append(
            f"  evidence that it is lost {format_cell(evidence.lost_e_value)}, that there is some "
            f"{format_cell(evidence.proven_e_value)} ({skill.threshold:.0f} decide); dates to go "
            f"{format_cell(evidence.dates_to_lose)}, {format_cell(evidence.dates_to_prove)}"
        )
    if earlier.version:
        why = f" ({earlier.reason})" if earlier.reason else ""
        lines.append(
            f"  against {earlier.version}: {earlier.status}{why}, "
            f"gain a date {format_cell(earlier.mean_gain)}"
        )
    return lines
