"""What speaks for and against a model, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlengine.cli.output import format_cell, table

if TYPE_CHECKING:
    from mlengine.core.monitoring.skill.report import Skill
    from mlengine.services.monitoring.drift import DriftAlarmReport
    from mlengine.services.overview.service import Overview, OverviewDrift, OverviewModel


def describe_overview(found: Overview) -> str:
    """One line a subject, each figure beside what it is held against."""
    verdict = ", ".join(found.reasons) or "nothing speaks against it"
    waits = f"; waiting since {format_cell(found.waits_since)}" if found.waits_since else ""
    due, feeds = found.coverage, found.feeds
    stale = f" ({', '.join(feeds.stale)})" if feeds.stale else ""
    rows = [
        [found.model.version, f"{found.status}: {verdict}"],
        ["model", _model(found.model)],
        ["feeds", f"fresh {feeds.fresh}, stale {len(feeds.stale)}{stale}, unasked {feeds.unasked}"],
        ["drift", _drift(found.drift)],
        ["drift alarm", describe_alarm(found.drift.alarm)],
        ["skill", describe_skill(found.skill)],
        ["outcomes", f"due {due.due}, scored {due.scored}, void {due.void}{waits}"],
    ]
    return table(["", ""], rows).strip("\n ")


def _model(model: OverviewModel) -> str:
    said = model.verdict
    until = f", too old from {format_cell(model.too_old_from)}" if model.too_old_from else ""
    return (
        f"trained {format_cell(model.trained_at)}{until}; training said {said.verdict}: "
        f"{said.metric} {format_cell(said.value)} "
        f"({format_cell(said.low)} to {format_cell(said.high)}, without skill {said.null})"
    )


def _drift(drift: OverviewDrift) -> str:
    told = drift.status if drift.reason is None else f"{drift.status} ({drift.reason})"
    if drift.score is None:
        return told
    return f"{told}, {describe_score(drift.score, drift.threshold, drift.false_alarm_rate)}"


def describe_score(score: float, threshold: float | None, rate: float | None) -> str:
    """The score of a window beside its threshold, and how often that is passed for nothing."""
    passed = "" if rate is None else f", passed by {rate:.0%} of windows without a cause"
    return f"score {format_cell(score)}, threshold {format_cell(threshold)}{passed}"


def describe_alarm(alarm: DriftAlarmReport) -> str:
    """The evidence beside its level, how often it rang, and what stands still."""
    rung = alarm.alarms + alarm.frozen_alarms
    told = f"; alarms so far: {rung}" if rung else ""
    still = f"; stand still: {', '.join(alarm.frozen_features)}" if alarm.frozen_features else ""
    years = f"a false alarm in {alarm.false_alarm_years:.3g} years"
    return f"e-value {alarm.e_value:.3g} of {alarm.threshold:.3g} ({years}){told}{still}"


def describe_skill(skill: Skill) -> str:
    """The status, the gain beside that of training, and the evidence for either claim."""
    reason = f" ({skill.reason})" if skill.reason else ""
    parts = [
        f"{skill.status}{reason} after {skill.dates} dates, gain a date "
        f"{format_cell(skill.mean_gain)}, in training {format_cell(skill.trained_gain)}"
    ]
    if skill.evidence:
        parts.append(
            f"evidence that it is lost {format_cell(skill.evidence.lost_e_value)}, that there is "
            f"some {format_cell(skill.evidence.proven_e_value)} ({skill.threshold:.0f} decide)"
        )
    return "; ".join(parts)
