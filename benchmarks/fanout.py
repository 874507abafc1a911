"""What sharing the folds of a training costs and saves: `python -m benchmarks.fanout`.

The same training with one worker, which fits all folds itself, and with two that share them
(`TRAIN_FANOUT=folds`), by turns: real workers, a real queue, bars from files. Seconds are those of
the run's record, CPU seconds those of the processes that worked on it, with their start: of all,
and of the worker with the most. Each fold, the candidate and the version have to be the same.

Every process has one thread. So on a busy machine the CPU seconds say more: the training can't be
faster than its busiest worker, and on a quiet machine is not much slower.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from benchmarks.serving import head, row, say_where
from benchmarks.simulated import planted_next_bar
from tests.databases import new_database
from tests.queue_process import QueueProcess

from mlengine.bootstrap.control import ControlPlane, build_control
from mlengine.config import Settings, environment_for_child
from mlengine.core.versions.manifest import Manifest
from mlengine.services.runs.service import RunRequest
from mlengine.stores.registry.registry import Registry

ROOT = Path(__file__).parents[1]
STRENGTH, SEED, FOLDS = 0.3, 7, 5
HZ = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Taken:
    """One training: `seconds` by its record, CPU seconds by worker, and what it published."""

    seconds: float
    cpu_by_worker: list[float]
    manifest: Manifest

    @property
    def cpu(self) -> float:
        return sum(self.cpu_by_worker)


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--symbols", type=int, default=300)
    asked.add_argument("--bars", type=int, default=2_520)
    asked.add_argument("--rounds", type=int, default=300)
    asked.add_argument("--leaves", type=int, default=63)
    asked.add_argument("--learning-rate", type=float, default=0.05)
    asked.add_argument("--feature-set", default="core", choices=["core", "alpha158"])
    asked.add_argument("--turns", type=int, default=2)
    options = asked.parse_args()
    say_where()
    print()
    with QueueProcess() as queue:
        environ = _platform(queue.artifacts, options)
        control = build_control(Settings.from_env(environ))
        control.migrate_and_backfill()
        params = {"num_leaves": options.leaves, "learning_rate": options.learning_rate}
        recipe = {"params": params, "rounds": options.rounds}
        _compare(control, environ, recipe, options.turns)
    return 0


def _compare(
    control: ControlPlane, environ: dict[str, str], recipe: dict[str, object], turns: int
) -> None:
    head("workers", "seconds", "CPU seconds", "busiest", "rows", "trees a fold, candidate")
    found: dict[int, list[Taken]] = {1: [], 2: []}
    for _ in range(turns):
        for workers, each in found.items():
            taken = _train(control, environ, recipe, workers)
            each.append(taken)
            trees = [fold.best_iteration for fold in taken.manifest.folds]
            row(
                str(workers),
                f"{taken.seconds:.1f}",
                f"{taken.cpu:.1f}",
                f"{max(taken.cpu_by_worker):.1f}",
                f"{taken.manifest.data.labelled_rows:,}",
                ", ".join(map(str, [*trees, taken.manifest.best_iteration])),
            )
    alone, shared = (min(each, key=lambda taken: taken.seconds) for each in found.values())
    cpu = min(t.cpu for t in found[2]) / min(t.cpu for t in found[1])
    print()
    print(
        f"two workers: {alone.seconds / shared.seconds:.2f} times faster, {cpu:.2f} times the CPU"
    )
    manifests = [taken.manifest for each in found.values() for taken in each]
    same = all(_facts(manifest) == _facts(manifests[0]) for manifest in manifests)
    print(f"fingerprints, folds and metrics of {len(manifests)} trainings: same {same}")
    print(f"model {manifests[0].fingerprint[:16]}")


def _facts(manifest: Manifest) -> tuple[object, ...]:
    return manifest.fingerprint, manifest.candidate_fingerprint, manifest.folds, manifest.metrics


def _train(
    control: ControlPlane, environ: dict[str, str], recipe: dict[str, object], workers: int
) -> Taken:
    with _working(environ, workers) as pids:
        while (control.runs.workers() or 0) != workers:
            time.sleep(0.05)
        before = list(map(_cpu_of_children, pids))
        run_id = control.runs.request_training(
            recipe, RunRequest(uuid4().hex, "bench", "bench", control.clock())
        ).run_id
        while (run := control.runs.get(run_id, now=control.clock())).unfinished:
            time.sleep(0.2)
        time.sleep(3.0)  # the last helper ends, and its worker has waited for it
        cpu = [_cpu_of_children(pid) - earlier for pid, earlier in zip(pids, before, strict=True)]
    if run.version is None or run.started_at is None or run.ended_at is None:
        sys.exit(f"the training ended as {run.state}: {run.error}")
    seconds = (run.ended_at - run.started_at).total_seconds()
    manifest = Registry(control.models_directory).manifest(run.version)
    return Taken(seconds, cpu, manifest)


@contextmanager
def _working(environ: dict[str, str], count: int) -> Iterator[list[int]]:
    """Worker processes, whose last ones are known to be gone from the queue."""
    argv = [sys.executable, "worker.py"]
    processes = [
        subprocess.Popen(argv, cwd=ROOT, env=environment_for_child(environ)) for _ in range(count)
    ]
    try:
        yield [process.pid for process in processes]
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait()


def _cpu_of_children(pid: int) -> float:
    """CPU seconds of the processes that a worker has started and waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[13]) + int(fields[14])) / HZ


def _platform(artifacts: Path, options: argparse.Namespace) -> dict[str, str]:
    """A platform whose bars hold a signal, so that early stopping ends no fit after a few trees."""
    bars = planted_next_bar(options.symbols, options.bars, strength=STRENGTH, seed=SEED).bars
    (artifacts / "prices").mkdir()
    symbols = []
    for (symbol,), part in bars.group_by("symbol", maintain_order=True):
        part.write_parquet(artifacts / "prices" / f"{symbol}.parquet")
        symbols.append(str(symbol))
    new_database(artifacts / "audit.db")
    return {
        "ARTIFACTS_DIR": str(artifacts),
        "FLASK_SKIP_DOTENV": "1",
        "LOG_LEVEL": "WARNING",
        "MARKET_DATA_DIR": str(artifacts / "prices"),
        "MONITOR_EVERY_SECONDS": "0",
        "OMP_NUM_THREADS": "1",
        "POLARS_MAX_THREADS": "1",
        "TRAIN_ACTIVATE": "never",
        "TRAIN_CV_FOLDS": str(FOLDS),
        "TRAIN_FANOUT": "folds",
        "TRAIN_FEATURE_SET": options.feature_set,
        "TRAIN_HORIZON": "1",
        "TRAIN_LOOKBACK": "0",
        "TRAIN_SYMBOLS": ",".join(symbols),
    }


if __name__ == "__main__":
    sys.exit(main())
