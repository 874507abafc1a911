"""What goes on in threads of the worker process beside its jobs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from mlengine.bootstrap.control import ControlPlane
from mlengine.bootstrap.lines import LineControls
from mlengine.config import Settings
from mlengine.jobs.hook_dispatcher import HookDispatcher
from mlengine.jobs.monitoring_child import MonitoringChild
from mlengine.jobs.resident_child import ResidentChild
from mlengine.jobs.ticker import Ticker, claim_due_training, claim_wanted_training

SIGNALS = (sys.executable, "-m", "mlengine.jobs.signals")


@contextmanager
def ticking(
    control: ControlPlane, settings: Settings, monitor_every_seconds: int
) -> Iterator[None]:
    """The schedule, webhooks and the updates of monitoring, for as long as the block takes."""
    child = MonitoringChild(control.update_lease, monitor_every_seconds, control.clock)
    lines = LineControls(control, settings)
    dispatcher = HookDispatcher(control.hook_deliveries)

    def scoring_is_wanted() -> bool:
        return bool(settings.signals.lines) or control.signal_exports.any_due(now=control.clock())

    scorer = ResidentChild(SIGNALS, scoring_is_wanted, "signals_process_failed")
    tickers = [
        Ticker("schedule", partial(claim_due_training, lines.schedules, control.clock)),
        Ticker("retraining", partial(claim_wanted_training, lines.retrainings, control.clock)),
        Ticker("hooks", dispatcher.tick),
        Ticker("signals", scorer.tick),
    ]
    if monitor_every_seconds:
        wait = monitor_every_seconds
        tickers.append(Ticker("monitoring", child.tick, seconds_before_first=wait))
    for ticker in tickers:
        ticker.start()
    try:
        yield
    finally:
        for ticker in tickers:
            ticker.stop()
        dispatcher.stop()
        child.stop()
        scorer.stop()
