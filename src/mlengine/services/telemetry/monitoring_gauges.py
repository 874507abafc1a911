"""Whether what monitoring shows is of now, as a gauge."""

from collections.abc import Sequence
from datetime import datetime

from mlengine.core.telemetry.families import MONITORING_LAG, Sample, Samples
from mlengine.stores.monitoring.update_lease import UpdateLease


def monitoring_gauges(lease: UpdateLease, now: datetime) -> Sequence[Samples]:
    """How long something has waited for the update; raises DatabaseUnavailable."""
    since = lease.waits_since(now=now)
    lag = (now - since).total_seconds() if since else 0.0
    return (Samples(MONITORING_LAG, [Sample((), lag)]),)
