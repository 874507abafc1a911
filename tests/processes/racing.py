"""Processes that do the same at the same moment: forks of one that has imported everything."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable
from multiprocessing.synchronize import Barrier


def race(racers: int, run: Callable[[int, Callable[[], object]], str]) -> None:
    """Print what `run` returns in each of them; it gets a number, and waits for the others."""
    context = multiprocessing.get_context("fork")
    start = context.Barrier(racers, timeout=60)
    processes = [
        context.Process(target=_print, args=(run, number, start)) for number in range(racers)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    sys.exit(any(process.exitcode for process in processes))


def _print(run: Callable[[int, Callable[[], object]], str], number: int, start: Barrier) -> None:
    sys.stdout.write(run(number, start.wait) + "\n")
    sys.stdout.flush()
