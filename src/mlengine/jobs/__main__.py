"""The training worker's process: `python -m mlengine.jobs`, from the platform's folder."""

import os
import signal
import sys
from pathlib import Path

from mlengine.config.env_file import load_with_env_file
from mlengine.errors import MlengineError
from mlengine.stores.system.garbage_collection import collect_less_often

_AGAIN = "--again"


def main() -> None:
    """Work until told to stop; SIGHUP begins anew, as a process that reads everything again."""
    if _AGAIN not in sys.argv:
        os.nice(10)  # serving goes first
    collect_less_often()
    try:
        settings = load_with_env_file(Path.cwd())
        from mlengine.jobs.worker import run_worker  # noqa: PLC0415 - after a bad setting

        begins_anew = run_worker(settings)
    except MlengineError as error:
        sys.exit(f"mlengine: {error}")
    if begins_anew:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it knows again what it means
        command = (sys.executable, "-m", "mlengine.jobs", _AGAIN)
        os.execv(command[0], command)  # noqa: S606 - a list, no shell


if __name__ == "__main__":
    main()
