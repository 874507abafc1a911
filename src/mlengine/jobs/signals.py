"""Scores the universe at every bar for its worker: `python -m mlengine.jobs.signals`.

Where no line is scored it writes the panels that are asked for, and ends.
"""

import logging
import secrets
import sys
import time

from mlengine import config
from mlengine.config.logging import configure_logs
from mlengine.errors import MlengineError
from mlengine.stores.system.garbage_collection import collect_less_often

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 1.0
_SECONDS_AFTER_A_FAILURE = 5.0


def main() -> None:
    """Look again and again whether a bar is final, part of one is left, or a panel is wanted."""
    collect_less_often()
    try:
        settings = config.load_from_environment()
        configure_logs(settings)
        from mlengine.bootstrap.platform import build_platform  # noqa: PLC0415 - after a bad setting

        platform = build_platform(settings)
        platform.registry_poll.start()
        holder, lines = secrets.token_hex(8), settings.signals.lines
        worker = platform.signal_worker(lines, holder=holder)
        writer = platform.export_writer(holder=holder)
    except MlengineError as error:
        sys.exit(f"mlengine: {error}")
    while True:
        pause = _SECONDS_BETWEEN_LOOKS
        try:
            worker.work()
            wrote = writer.work()
            if not (lines or wrote):
                return
        except MlengineError as error:
            log.warning("signals_not_scored", extra={"reason": str(error)})
            pause = _SECONDS_AFTER_A_FAILURE
        time.sleep(pause)


if __name__ == "__main__":
    main()
