"""Trains v1 of the platform in a folder again, on some threads; prints the fingerprint."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from tests.platforms import settings

from mlengine.bootstrap.platform import build_platform
from mlengine.core.runs.progress import ignore_progress


def main(folder: str, threads: str) -> None:
    platform = build_platform(settings(Path(folder)))
    service = replace(platform.reproduction, num_threads=int(threads))
    print(service.reproduce("v1", ignore_progress).reproduced)


if __name__ == "__main__":
    main(*sys.argv[1:])
