"""A training on a universe larger than memory: `python -m benchmarks.universe_training`.

The whole training, from bars to the files of a version, on `alpha158` of simulated bars, each way
in a process of its own: with features on disk, and with `--both` in memory too, which is for
universes that fit. Peak memory is that of the process, and of each stage as the kernel counts it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import numpy as np

from mlengine.core.bars.bars import BarArrays, BarsReport, CleanBars
from mlengine.core.calendars.market import NO_MARKETS
from mlengine.core.features import BUILTIN
from mlengine.core.runs.progress import Progress
from mlengine.core.training.spec import TrainSpec
from mlengine.services.training.pipeline import TrainingPipeline
from mlengine.stores.market_data.sample import SampleMarketData
from mlengine.stores.registry.registry import Registry
from mlengine.stores.training.feature_spill import SpillFolder

FIRST_BAR = datetime(2010, 1, 4, tzinfo=UTC)
NOW = datetime(2030, 1, 1, tzinfo=UTC)
WAYS = {"disk": 0, "memory": 10**12}


@dataclass(frozen=True)
class SimulatedHistory:
    """A random walk for each symbol, made when it is asked for: nothing is held beside it."""

    bars: int
    adjustment: str = "none"
    source: SampleMarketData = field(default_factory=SampleMarketData)

    markets = NO_MARKETS

    def actions_applied(self, symbol: str, bars: BarArrays, *, at: datetime) -> int:  # noqa: ARG002
        """None."""
        return 0

    def history(self, symbol: str, **_: object) -> CleanBars:
        """The same bars for the same symbol."""
        rng = np.random.default_rng(list(symbol.encode()))
        close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, self.bars)))
        opened = close * np.exp(rng.normal(0.0, 0.005, self.bars))
        high = np.maximum(opened, close) * (1.0 + np.abs(rng.normal(0.0, 0.005, self.bars)))
        low = np.minimum(opened, close) * (1.0 - np.abs(rng.normal(0.0, 0.005, self.bars)))
        volume = rng.lognormal(14.0, 0.5, self.bars)
        day = timedelta(days=1) // timedelta(microseconds=1)
        starts = int(FIRST_BAR.timestamp()) * 1_000_000 + day * np.arange(self.bars)
        values = np.stack([opened, high, low, close, volume])
        return CleanBars(
            BarArrays(symbol, starts, values, starts + day), BarsReport(self.bars, {}, {})
        )


class NoHistory:
    """Nothing was trained before."""

    def count_gate_tests(self, generation: int) -> int:  # noqa: ARG002
        return 0

    def trainings(self) -> list[object]:
        return []


@dataclass
class StagePeaks:
    """The peak memory of each stage, in bytes, by the progress that a training reports."""

    peaks: dict[str, int] = field(default_factory=dict)
    stage: str = "start"

    def __call__(self, progress: Progress) -> None:
        """Begin the stage that is reported, if it is another one."""
        stage = f"fold {progress.fold}" if progress.fold else progress.stage
        if stage != self.stage:
            self.end()
            self.stage = stage

    def end(self) -> None:
        """Note the peak of the stage, and let the kernel count anew."""
        status = Path("/proc/self/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
        self.peaks[self.stage] = int(line.split()[1]) * 1024
        Path("/proc/self/clear_refs").write_text("5")


def measure(way: str, symbols: int, bars: int, folds: int, rounds: int) -> dict[str, object]:
    """One training in this process."""
    spec = TrainSpec(
        symbols=tuple(f"S{number:05d}" for number in range(symbols)),
        lookback=0,
        test_size=0.2,
        seed=42,
        folds=folds,
        horizon_bars=5,
        embargo_bars=0,
        objective="direction",
        feature_set="alpha158",
        activate="always",
        refit="none",
        label_delay_bars=0,
        interval="1d",
        rounds=rounds,
    )
    peaks, began = StagePeaks(), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="mlengine-bench-") as folder:
        pipeline = TrainingPipeline(
            SimulatedHistory(bars),  # type: ignore[arg-type]
            BUILTIN,
            Registry(Path(folder) / "models" / "main"),
            1,
            NoHistory(),  # type: ignore[arg-type]
            spills=SpillFolder(Path(folder) / "spill", WAYS[way]),
        )
        draft = pipeline.run(spec, run_id="run", actor="benchmark", now=NOW, progress=peaks)
    peaks.end()
    return {
        "rows": draft.manifest.data.labelled_rows,
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time(),
        "peak": max(peaks.peaks.values()),
        "stages": peaks.peaks,
        "fingerprint": draft.manifest.fingerprint,
        "files": sorted(
            (name, sha256(content).hexdigest()) for name, content in draft.files.items()
        ),
    }


def in_a_process_of_its_own(way: str, asked: argparse.Namespace) -> dict[str, object]:
    command = [sys.executable, "-m", "benchmarks.universe_training", "--one", way]
    for name in ("symbols", "bars", "folds", "rounds"):
        command += [f"--{name}", str(getattr(asked, name))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def main() -> None:
    """Print one row a way."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--symbols", type=int, default=3_000)
    parser.add_argument("--bars", type=int, default=2_500)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--both", action="store_true")
    parser.add_argument("--one", choices=WAYS)
    asked = parser.parse_args()
    if asked.one:
        found = measure(asked.one, asked.symbols, asked.bars, asked.folds, asked.rounds)
        print(json.dumps(found))
        return
    print(f"{asked.symbols} symbols x {asked.bars} bars x 158 features, {asked.folds} folds")
    print("| features | rows | seconds | CPU seconds | peak memory | by stage | fingerprint |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    fingerprints = set()
    for way in ("disk", "memory") if asked.both else ("disk",):
        one = in_a_process_of_its_own(way, asked)
        stages = ", ".join(f"{name} {peak / 1e9:.2f}" for name, peak in one["stages"].items())  # type: ignore[attr-defined]
        print(
            f"| {way} | {one['rows']:,} | {one['seconds']:.0f} | {one['cpu']:.0f}"
            f" | {one['peak'] / 1e9:.2f} GB | {stages} | {one['fingerprint'][:12]} |",  # type: ignore[operator,index]
            flush=True,
        )
        fingerprints.add((one["fingerprint"], json.dumps(one["files"])))
    if asked.both:
        print("the same version" if len(fingerprints) == 1 else "OTHER VERSIONS")


if __name__ == "__main__":
    main()
