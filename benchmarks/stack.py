"""A whole platform in a temporary folder: prices, a real training, gunicorn as it is configured."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from benchmarks.features import generated_bars
from benchmarks.load import Client

from mlengine import config
from mlengine.bootstrap.platform import build_platform
from mlengine.config import Settings
from mlengine.core.bars.bars import BARS_SCHEMA
from mlengine.core.boosting.model import LabelledRows, LightGBMConfig, fit
from mlengine.core.features import BUILTIN
from mlengine.core.versions.manifest import FeatureSetEntry
from mlengine.stores.market_data.sample import find_sample_file, read_sample
from mlengine.stores.registry.registry import Registry
from mlengine.supervisor import ONE_THREAD

ROOT = Path(__file__).parents[1]
SAMPLE = ("AAPL", "GOOG", "IBM", "MSFT")
SYMBOLS = (*SAMPLE, *(f"S{number:04d}" for number in range(496)))


@dataclass(frozen=True)
class Stack:
    """`v1` was trained by the platform itself, `v2` has 300 trees of 31 leaves on `alpha158`."""

    folder: Path

    @property
    def environ(self) -> dict[str, str]:
        return {
            "ENV": "staging",
            "ARTIFACTS_DIR": str(self.folder / "artifacts"),
            "MARKET_DATA_DIR": str(self.folder / "bars"),
            "RATE_LIMIT_REQUESTS": "0",
            "FLASK_SKIP_DOTENV": "1",
            "REDIS_URL": "",
            **ONE_THREAD,
        }

    def settings(self) -> Settings:
        return Settings.from_env(self.environ)

    def activate(self, version: str) -> None:
        platform = build_platform(self.settings())
        platform.models.activate(version, actor="bench", reason="", now=datetime.now(UTC))
        platform.control.database.dispose()


@contextmanager
def stack() -> Iterator[Stack]:
    """Trained and with `v1` active; gone at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="mlengine-bench-") as name:
        made = Stack(Path(name))
        (made.folder / "bars").mkdir()
        _prices().write_parquet(made.folder / "bars" / "panel.parquet")
        environ = {**made.environ, "TRAIN_ACTIVATE": "always", "LOG_LEVEL": "WARNING"}
        subprocess.run(
            [sys.executable, "-m", "mlengine", "train"],
            cwd=ROOT,
            env=config.environment_for_child(environ),
            check=True,
            stdout=subprocess.DEVNULL,
        )
        _publish_large(made)
        yield made


@dataclass(frozen=True)
class Server:
    """A gunicorn master and its workers."""

    port: int
    process: subprocess.Popen[bytes]
    first_answer_seconds: float

    def pids(self) -> list[int]:
        return _family(self.process.pid)

    def cpu_seconds(self) -> float:
        return sum(_cpu_seconds(pid) for pid in self.pids())

    def wait_until_calm(self) -> None:
        """Until master and workers do nothing for half a second: a worker may still be starting."""
        before, calm, until = self.cpu_seconds(), 0, time.perf_counter() + 4
        while calm < 5 and time.perf_counter() < until:
            time.sleep(0.1)
            used = self.cpu_seconds()
            calm = calm + 1 if used - before < 0.0015 else 0
            before = used

    def pss_mb(self) -> float:
        return sum(_pss_kb(pid) for pid in self.pids()) / 1024


@contextmanager
def serving(
    app: str, path: str, environ: Mapping[str, str], *arguments: str, root: Path = ROOT
) -> Iterator[Server]:
    """`app` under the settings of the project in `root`, answering 200 at `path`.

    It ends with the block.
    """
    port, begun = free_port(), time.perf_counter()
    log = tempfile.TemporaryFile()  # noqa: SIM115 - for the child, as long as it lives
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", *arguments, app],
        cwd=root,
        env=config.environment_for_child(
            {**environ, "PORT": str(port), "PYTHONPATH": str(root / "src")}
        ),
        stderr=log,
    )
    try:
        while not _answers(port, path):
            if process.poll() is not None or time.perf_counter() - begun > 60:
                log.seek(0)
                raise SystemExit(log.read().decode()[-2000:])
            time.sleep(0.01)
        yield Server(port, process, time.perf_counter() - begun)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        log.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _prices() -> pl.DataFrame:
    """The sample prices and generated ones, moved so that the last bar is yesterday's."""
    sample = read_sample(find_sample_file())
    parts = [sample[name].select(list(BARS_SCHEMA)) for name in SAMPLE]
    generated = generated_bars(len(SYMBOLS) - len(SAMPLE), 400)
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    moved = []
    for part in [*parts, generated]:
        newest = part["timestamp"].max()
        assert isinstance(newest, datetime)
        moved.append(
            part.with_columns(pl.col("timestamp") + (midnight - timedelta(days=1) - newest))
        )
    return pl.concat(moved)


def _publish_large(made: Stack) -> None:
    registry = Registry(made.folder / "artifacts" / "models" / "main")
    wide, rng = BUILTIN["alpha158"], np.random.default_rng(1)
    features = rng.normal(size=(5_000, len(wide.names)))
    labels = (features[:, 0] + rng.normal(size=5_000) > 0).astype(np.float64)
    recipe = LightGBMConfig("direction", 1, 1, rounds=300, params={"num_leaves": 31})
    fitted = fit(recipe, names=wide.names, train=LabelledRows(features, labels), early_stop=None)
    entry = FeatureSetEntry(wide.name, wide.version, wide.hash, wide.window_bars, wide.names)
    trained = registry.manifest("v1")
    files = {name: registry.read("v1", name) for name in trained.files}
    registry.publish(
        replace(trained, feature_set=entry, fingerprint=fitted.fingerprint, run_id="bench"),
        {**files, "model.txt": fitted.text.encode()},
        fence=lambda: None,
    )


def _answers(port: int, path: str) -> bool:
    client = Client(port)
    try:
        return client.get(path)[0] == 200
    except (OSError, EOFError):
        return False
    finally:
        client.close()


def _family(pid: int) -> list[int]:
    """The process and its descendants, whichever thread started them."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(child) for listed in lists for child in listed.read_text().split()]
    return [pid, *(grown for child in children for grown in _family(child))]


def _cpu_seconds(pid: int) -> float:
    """By the clock of another process (Linux), which `/proc/PID/stat` rounds to 10 ms."""
    return time.clock_gettime((~pid << 3) | 2)


def _pss_kb(pid: int) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(rollup.split("\nPss:")[1].split()[0])
