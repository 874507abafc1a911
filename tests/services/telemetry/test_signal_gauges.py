from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tests.databases import NOW, new_database, opened

from mlengine.core.signals.signal import Tick
from mlengine.services.telemetry.signal_gauges import signal_gauges
from mlengine.stores.signals.plans import SignalPlans

HOUR = timedelta(hours=1)


def test_what_nobody_has_scored_in_time_is_overdue(tmp_path: Path) -> None:
    with opened(new_database(tmp_path / "audit.db")) as engine:
        plans = SignalPlans(engine)
        assert [each.samples for each in signal_gauges(plans, NOW)] == [[]]
        tick = Tick(NOW, NOW - HOUR, NOW + HOUR)
        until, symbols = NOW + HOUR, ["AAA", "BBB"]
        plans.plan("slow", tick, ("v1", None), symbols, give_up_at=until, slice_symbols=1, now=NOW)
        values = [
            [(each.labels, each.value) for each in found.samples]
            for moment in (NOW, until)
            for found in signal_gauges(plans, moment)
        ]
        assert values == [[(("slow",), 0.0)], [(("slow",), 2.0)]]
