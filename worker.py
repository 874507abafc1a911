"""The training worker's entry: `python worker.py`."""

import os
import sys
from pathlib import Path

from mlengine import config
from mlengine.config.env_file import load_env_file
from mlengine.errors import MlengineError

if __name__ == "__main__":
    os.nice(10)  # serving goes first
    try:
        load_env_file(Path(__file__).parent)
        from mlengine.jobs.worker import run_worker

        run_worker(config.load())
    except MlengineError as error:
        sys.exit(f"mlengine: {error}")
