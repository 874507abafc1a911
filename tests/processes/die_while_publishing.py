"""Publishes into the registry of a folder and kills itself at the fence."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from tests.published import draft

from mlengine.stores.registry.registry import Registry


def main(folder: str) -> None:
    Registry(Path(folder)).publish(
        draft(run_id="dead"),
        {"model.txt": b"x"},
        fence=lambda: os.kill(os.getpid(), signal.SIGKILL),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
