"""The training worker's process: `python -m mlengine.jobs`, from the platform's folder."""

import os
import sys
from pathlib import Path

from mlengine.config.env_file import load_with_env_file
from mlengine.errors import MlengineError


def main() -> None:
    os.nice(10)  # serving goes first
    try:
        settings = load_with_env_file(Path.cwd())
        from mlengine.jobs.worker import run_worker  # noqa: PLC0415 - after a bad setting

        run_worker(settings)
    except MlengineError as error:
        sys.exit(f"mlengine: {error}")


if __name__ == "__main__":
    main()
