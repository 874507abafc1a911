"""What a fit by a Dask cluster takes beside one process: `python -m benchmarks.dask_training`.

The same training on simulated daily bars and `alpha158`, without folds: its candidate is fitted in
one process (`engine: lightgbm`), and by `lightgbm.dask` on two workers of this machine (`engine:
dask`), twice. Each in a process of its own, features as a platform holds them (those beyond 1,024
MB on disk). The peak memory of every process is the kernel's own; a worker that Dask starts anew
begins again. Every process has one thread.

All rounds are fitted in each way, so that they do the same work: nothing is stopped early.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.serving import head, row, say_where
from benchmarks.universe_training import NOW, NoHistory, SimulatedHistory

from mlengine.core.features import BUILTIN
from mlengine.core.runs.progress import Progress
from mlengine.core.training.spec import DASK, LIGHTGBM, TrainSpec
from mlengine.services.training.pipeline import TrainingPipeline
from mlengine.stores.registry.registry import Registry
from mlengine.stores.training.dask_cluster import DaskCluster
from mlengine.stores.training.feature_spill import SpillFolder

WORKERS, MEMORY_BYTES = 2, 1_024_000_000
HZ = os.sysconf("SC_CLK_TCK")


@dataclass
class StageSeconds:
    """When each stage of a training began, on one clock."""

    begun: dict[str, float] = field(default_factory=dict)

    def __call__(self, progress: Progress) -> None:
        self.begun.setdefault(progress.stage, time.perf_counter())


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--symbols", type=int, default=650)
    asked.add_argument("--bars", type=int, default=2_065)
    asked.add_argument("--rounds", type=int, default=100)
    asked.add_argument("--leaves", type=int, default=63)
    asked.add_argument("--engine", choices=(LIGHTGBM, DASK), help=argparse.SUPPRESS)
    options = asked.parse_args()
    if options.engine:
        print(json.dumps(measure(options)))
        return 0
    say_where()
    head("engine", "rows", "s", "s of the fit", "CPU s", "peak MB", "reproducible", "fingerprint")
    for engine in (LIGHTGBM, DASK, DASK):
        command = [sys.executable, "-m", "benchmarks.dask_training", *sys.argv[1:]]
        done = subprocess.run([*command, "--engine", engine], capture_output=True, check=False)
        if done.returncode:
            sys.exit(done.stderr.decode())
        _print(engine, json.loads(done.stdout.splitlines()[-1]))
    return 0


def measure(options: argparse.Namespace) -> dict[str, object]:
    """One training by one engine, published to a registry of its own."""
    spec = TrainSpec(
        symbols=tuple(f"S{number:05d}" for number in range(options.symbols)),
        lookback=0,
        test_size=0.2,
        seed=42,
        folds=0,
        horizon_bars=5,
        embargo_bars=0,
        objective="direction",
        feature_set="alpha158",
        activate="always",
        refit="full",
        label_delay_bars=0,
        interval="1d",
        rounds=options.rounds,
        params={"num_leaves": options.leaves},
        engine=options.engine,
    )
    stages = StageSeconds()
    with (
        tempfile.TemporaryDirectory(prefix="mlengine-bench-") as folder,
        _cluster(options.engine) as (cluster, workers),
    ):
        registry = Registry(Path(folder) / "models" / "main")
        pipeline = TrainingPipeline(
            SimulatedHistory(options.bars),  # type: ignore[arg-type]
            BUILTIN,
            registry,
            1,
            NoHistory(),  # type: ignore[arg-type]
            spills=SpillFolder(Path(folder) / "spill", MEMORY_BYTES),
            cluster=cluster,
        )
        began, cpu = time.perf_counter(), _cpu_seconds([os.getpid(), *workers])
        draft = pipeline.run(spec, run_id="run", actor="bench", now=NOW, progress=stages)
        version = registry.publish(draft.manifest, draft.files, fence=lambda: None).version
        manifest = registry.manifest(version)
        used = _cpu_seconds([os.getpid(), *workers])
        return {
            "rows": manifest.data.labelled_rows,
            "seconds": time.perf_counter() - began,
            "fit": stages.begun["publish"] - stages.begun["fit"],
            "cpu": [after - before for before, after in zip(cpu, used, strict=True)],
            "peaks": [_peak_bytes(pid) for pid in (os.getpid(), *workers)],
            "reproducible": manifest.reproducible,
            "gate": manifest.gate.reason,
            "fingerprint": manifest.fingerprint,
        }


@contextmanager
def _cluster(engine: str) -> Iterator[tuple[DaskCluster | None, list[int]]]:
    """Two workers on this machine's loopback, with their processes; nothing for one process."""
    if engine == LIGHTGBM:
        yield None, []
        return
    from tests.dask_processes import dask_processes  # noqa: PLC0415 - its memory is its own

    with (
        tempfile.TemporaryDirectory(prefix="mlengine-bench-") as folder,
        dask_processes(Path(folder), count=WORKERS) as cluster,
    ):
        yield DaskCluster(cluster.address), cluster.worker_pids()


def _cpu_seconds(pids: list[int]) -> list[float]:
    """What each process has used up to now, with its threads."""
    stats = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids)
    return [(int(each[11]) + int(each[12])) / HZ for each in stats]


def _peak_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def _print(engine: str, found: dict[str, object]) -> None:
    cpu, peaks = found["cpu"], [peak // 1_000_000 for peak in found["peaks"]]  # type: ignore[attr-defined]
    row(
        engine,
        f"{found['rows']:,}",
        f"{found['seconds']:.0f}",
        f"{found['fit']:.0f}",
        _with_parts([round(each) for each in cpu]),  # type: ignore[attr-defined]
        _with_parts(peaks),
        found["reproducible"],
        f"{str(found['fingerprint'])[:12]} ({found['gate']})",
    )


def _with_parts(numbers: list[int]) -> str:
    """The sum; of several, each beside it, the training's own first."""
    parts = " + ".join(f"{number:,}" for number in numbers)
    return f"{sum(numbers):,}" if len(numbers) == 1 else f"{sum(numbers):,} ({parts})"


if __name__ == "__main__":
    sys.exit(main())
