"""What a web worker's allocator does with memory that was freed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mlengine import config

# The pages that the system had to clear for a frame of 32 MB, one second after one was freed.
FAULTS = """
import resource, sys, time
from mlengine.config.allocator import keep_freed_memory
keep_freed_memory()
assert "polars" not in sys.modules
import polars as pl
def frame():
    return pl.select(pl.int_range(4_000_000).alias("a") + 1)
frame()
time.sleep(1.2)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
frame()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(**changed: str) -> int:
    environment = config.environment_for_child({"POLARS_MAX_THREADS": "1", **changed})
    run = [sys.executable, "-c", FAULTS]
    return int(subprocess.run(run, env=environment, check=True, capture_output=True).stdout)


def test_it_is_used_again_after_a_second_unless_somebody_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("_RJEM_MALLOC_CONF", raising=False)
    assert faults() < faults(_RJEM_MALLOC_CONF="dirty_decay_ms:500") / 3
