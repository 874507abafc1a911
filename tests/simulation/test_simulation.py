"""Every seed keeps every promise, replays exactly, and finds the faults that are planted."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from tests.simulation.planted import FAULTS
from tests.simulation.simulation import Outcome, simulate

ROOT = Path(__file__).parents[2]
MOST_SEEDS = 1_000
SOAK_SEEDS = 10_000


def broken(seeds: Sequence[int]) -> list[Outcome]:
    return [outcome for seed in seeds if (outcome := simulate(seed)).broken]


def first_seed_that_finds(fault: str, seeds: int = MOST_SEEDS) -> int | None:
    planted = FAULTS[fault]
    return next((seed for seed in range(seeds) if simulate(seed, planted).broken), None)


def replayed(seed: int) -> str:
    """The last lines of the trace in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", str(seed)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "7"},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def test_a_hundred_seeds_keep_every_promise() -> None:
    assert broken(range(100)) == []


def test_a_seed_replays_to_the_last_step() -> None:
    first, again = simulate(7, keep_trace=True), simulate(7, keep_trace=True)
    assert first.steps > 100
    assert first.trace == again.trace
    assert first == again != simulate(8)
    assert f"trace {first.trace_hash[:16]}\nevery promise was kept\n" in replayed(7)


@pytest.mark.parametrize(
    "fault", ["files_unforced", "rename_taken_away", "index_of_live_runs_dropped"]
)
def test_a_planted_fault_is_found_soon(fault: str) -> None:
    assert first_seed_that_finds(fault, 20) is not None


def test_a_planted_fault_replays_as_it_was_found() -> None:
    seed = first_seed_that_finds("names_unforced", 20)
    assert seed is not None
    planted = FAULTS["names_unforced"]
    assert simulate(seed, planted) == simulate(seed, planted)


@pytest.mark.soak
def test_ten_thousand_seeds_keep_every_promise() -> None:
    spawn, step = multiprocessing.get_context("spawn"), SOAK_SEEDS // 40
    parts = [range(first, first + step) for first in range(0, SOAK_SEEDS, step)]
    with ProcessPoolExecutor(mp_context=spawn) as processes:
        outcomes = [outcome for part in processes.map(broken, parts) for outcome in part]
    assert outcomes == []


@pytest.mark.soak
@pytest.mark.parametrize("fault", FAULTS)
def test_each_planted_fault_is_found_within_a_thousand_seeds(fault: str) -> None:
    assert first_seed_that_finds(fault) is not None
