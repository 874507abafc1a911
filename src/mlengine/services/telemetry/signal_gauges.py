"""Whether somebody scores what is to be scored, as a gauge."""

from collections.abc import Sequence
from datetime import datetime

from mlengine.core.telemetry.families import SIGNALS_OVERDUE, Sample, Samples
from mlengine.stores.signals.plans import SignalPlans


def signal_gauges(plans: SignalPlans, now: datetime) -> Sequence[Samples]:
    """By line, of those that have scored a bar; raises DatabaseUnavailable."""
    overdue = plans.overdue(now=now)
    return (Samples(SIGNALS_OVERDUE, [Sample((line,), float(overdue[line])) for line in overdue]),)
