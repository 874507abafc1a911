"""Replays seeds: `python -m tests.simulation 7` prints the trace of one, `0-999` what breaks.

With a name of `planted.py` after it, the same with that fault: `0-999 files_unforced`.
"""

from __future__ import annotations

import sys
import time

from tests.simulation.planted import FAULTS
from tests.simulation.simulation import simulate


def main(seeds: str, fault: str | None = None) -> int:
    first, _, last = seeds.partition("-")
    planted = FAULTS[fault] if fault else None
    if not last:
        outcome = simulate(int(first), planted, keep_trace=True)
        sys.stdout.writelines(outcome.trace)
        print(f"seed {outcome.seed}: {outcome.steps} steps, trace {outcome.trace_hash[:16]}")
        print(f"broken: {outcome.broken}" if outcome.broken else "every promise was kept")
        return outcome.broken is not None
    began, broken = time.process_time(), 0
    for seed in range(int(first), int(last) + 1):
        outcome = simulate(seed, planted)
        if outcome.broken:
            broken += 1
            print(f"seed {seed}: {outcome.broken}", flush=True)
    print(f"{broken} broken in {time.process_time() - began:.1f} CPU s")
    return broken > 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
