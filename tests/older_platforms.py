"""Platforms of earlier commits, run from their own source on folders that are upgraded later.

`python -m tests.older_platforms ERA FILE` writes the golden folder of tests/golden/older_artifacts:
a whole platform of that commit trains one version, answers a few requests and is stopped.
"""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from tests.factories import random_bars
from tests.patience import eventually
from tests.supervised import free_port

from mlengine import config
from mlengine.core.bars.bars import PRICES

ROOT = Path(__file__).parents[1]
# By what a commit brought into a file, the commit before it is the last of its era.
ERAS = {
    "first_manifests": ("SCHEMA_VERSION = 2", "src"),
    "second_manifests": ("## 0.2.0", "CHANGELOG.md"),
}
KEY = "a-test-key-of-thirty-two-letters"
SYMBOLS = ("AAA", "BBB", "CCC")
# As few rows as trees with branches can be made of: versions of old keep all of them.
_SMALL = {"TRAIN_SYMBOLS": "AAA,BBB", "TRAIN_LOOKBACK": "280", "TRAIN_TEST_SIZE": "0.1"}


def write_bars(folder: Path) -> Path:
    """400 daily bars a symbol whose prices swing, so that a model of them has several trees."""
    folder.mkdir(parents=True)
    swing = (pl.int_range(pl.len()) / 4).sin().mul(0.1).exp()
    for symbol in SYMBOLS:
        bars = random_bars(symbol, rows=400).with_columns(pl.col(PRICES) * swing)
        bars.write_parquet(folder / f"{symbol}.parquet")
    return folder


def last_commit(era: str) -> str | None:
    """None where this clone's history does not reach so far back."""
    text, path = ERAS[era]
    with suppress(subprocess.CalledProcessError, IndexError):
        commits = _git("log", "--reverse", "--format=%H", f"-S{text}", "--", path).split()
        return _git("rev-parse", "--verify", "--quiet", f"{commits[0]}^").strip()
    return None


MIGRATIONS = ROOT / "src/mlengine/stores/database/migrations/versions"


def commit_before(migration: str) -> str | None:
    """That before a file of MIGRATIONS came; None where the history does not reach so far back."""
    with suppress(subprocess.CalledProcessError, IndexError):
        path = str(MIGRATIONS / migration)
        added = _git("log", "--diff-filter=A", "--format=%H", "--", path).split()
        return _git("rev-parse", "--verify", "--quiet", f"{added[-1]}^").strip()
    return None


def extract(commit: str, folder: Path) -> Path:
    """The tree of a commit, without its history."""
    folder.mkdir(parents=True)
    archive = subprocess.run(
        ["git", "archive", commit], cwd=ROOT, capture_output=True, check=True
    ).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    return folder


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout


@dataclass(frozen=True)
class RunningPlatform:
    """`mlengine up` of one source on one folder."""

    port: int
    process: subprocess.Popen[bytes]

    def ask(
        self, path: str, *, method: str = "GET", body: object = None
    ) -> tuple[int, Mapping[str, Any]]:
        """Status and JSON; status 0 where nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"X-API-Key": KEY, "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body)
        try:
            connection.request(method, path, body=content, headers=headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except OSError:
            return 0, {}
        finally:
            connection.close()

    def get(self, path: str, *, method: str = "GET", body: object = None) -> Mapping[str, Any]:
        """The answer, which is no problem."""
        status, answer = self.ask(path, method=method, body=body)
        assert status in (200, 202), (path, status, answer)
        return answer

    def train(self, **overrides: object) -> Mapping[str, Any]:
        """The run, once it has ended."""
        run_id = self.get("/admin/train", method="POST", body=overrides)["run_id"]
        path = f"/admin/train/status?run_id={run_id}"
        ended = {"succeeded", "failed", "cancelled", "lost"}
        assert eventually(lambda: self.get(path)["state"] in ended, seconds=180)
        return self.get(path)


@contextmanager
def running(source: Path, folder: Path, **changed: str) -> Iterator[RunningPlatform]:
    """A whole platform of the code in `source` on `folder`/artifacts, once it is ready."""
    settings = {
        "ADMIN_API_KEY": KEY,
        "ARTIFACTS_DIR": str(folder / "artifacts"),
        "FLASK_SKIP_DOTENV": "1",
        "LOG_LEVEL": "WARNING",
        "MARKET_DATA_DIR": str(folder / "bars"),
        "PORT": str(port := free_port()),
        "PYTHONPATH": str(source / "src"),
        "REDIS_URL": "",
        "TRAIN_ACTIVATE": "always",
        "TRAIN_CV_FOLDS": "2",
        **changed,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "mlengine", "up"],
        cwd=source,
        env=config.environment_for_child(settings),
    )
    platform = RunningPlatform(port, process)
    try:
        assert eventually(
            lambda: platform.ask("/ready")[0] == 200 or process.poll() is not None, seconds=180
        )
        assert process.poll() is None
        yield platform
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _write_golden(era: str, file: Path) -> None:
    commit = last_commit(era)
    assert commit is not None
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_bars(folder / "bars")
        source = extract(commit, folder / "source")
        with running(source, folder, **_SMALL) as platform:
            for symbol in ("AAA", "BBB", "NONE"):
                platform.ask(f"/predict?symbol={symbol}")
            platform.get("/predict?symbol=AAA&as_of=2020-08-01")
            platform.get("/predict/batch", method="POST", body={"symbols": ["CCC", "NONE"]})
        with tarfile.open(file, "w:xz") as archive:
            archive.add(folder / "artifacts", "artifacts")


if __name__ == "__main__":
    _write_golden(sys.argv[1], Path(sys.argv[2]))
