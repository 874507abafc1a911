"""What `/metrics` tells: the counts of this machine's processes, and gauges read when asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mlengine.core.line_names import split_version_key
from mlengine.core.telemetry.families import (
    BOUNDS_MS,
    COUNTED,
    PREDICTIONS,
    Family,
    Sample,
    Samples,
)
from mlengine.core.telemetry.latency_sketch import cumulative_counts
from mlengine.services.telemetry.gauges import GaugeReader
from mlengine.stores.telemetry.counter_folder import CounterFolder, Values
from mlengine.stores.telemetry.counters import SKETCH_CELLS

_MACHINES_KEPT_FOR = timedelta(days=31)


@dataclass(frozen=True)
class MetricsService:
    """Raises nothing: what can't be read is left out, and `database_up` says so."""

    folder: CounterFolder
    gauges: GaugeReader

    def samples(self, *, now: datetime) -> Sequence[Samples]:
        """Every family, those without a value included."""
        self.folder.add_up_ended()
        self.folder.remove_gone_machines(before=(now - _MACHINES_KEPT_FOR).timestamp())
        return [*counted_samples(self.folder.totals()), *self.gauges.read(now)]


def counted_samples(totals: Values) -> list[Samples]:
    """One entry a family of COUNTED; what is counted and no longer a family is left out."""
    by_family = defaultdict[str, list[Sample]](list)
    kinds = {family.name: family for family in COUNTED}
    for (name, *labels), cells in sorted(totals.items()):
        family = kinds.get(name)
        if family is None:
            continue
        if family is PREDICTIONS and labels:  # counted by version, which names its line
            labels.append(split_version_key(labels[0])[0])
        if len(labels) == len(family.labels):
            by_family[name].append(_sample(family, tuple(labels), cells))
    return [Samples(family, by_family[family.name]) for family in COUNTED]


def _sample(family: Family, labels: tuple[str, ...], cells: Sequence[float]) -> Sample:
    if family.kind != "histogram":
        return Sample(labels, cells[0])
    if len(cells) != SKETCH_CELLS:  # of another version of the platform
        return Sample(labels, 0.0, (0.0,) * (len(BOUNDS_MS) + 1))
    counts = cells[1:]
    below = cumulative_counts(counts, BOUNDS_MS)
    return Sample(labels, cells[0] / 1000.0, (*below, float(sum(counts))))
