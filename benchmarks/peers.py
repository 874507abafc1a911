"""Model servers beside the platform: `python -m benchmarks.peers`, on one model, one after another.

Each peer lives in an environment of its own (installed when it is missing) and gets ready-made
rows of 158 features in rotation; the platform gets `/predict`, for which it has the bars and the
features and which it audits. All of them score with LightGBM, 300 trees of 31 leaves.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
from benchmarks.load import Client, Request
from benchmarks.serving import FIFTY, FIRST, head, measure, median, row, say_where, warm
from benchmarks.stack import ROOT, Server, Stack, free_port, serving, stack

_ROWS = np.random.default_rng(5).normal(size=(50, 158)).round(6)


@dataclass(frozen=True)
class Peer:
    """`packages` in its environment, `files` in its folder, and `command` with {port} to start."""

    name: str
    environment: str
    packages: tuple[str, ...]
    files: Mapping[str, str]
    command: tuple[str, ...]
    path: str
    key: str
    prepare: str = ""

    def requests(self) -> list[Request]:
        return [("POST", self.path, self._body(values)) for values in _ROWS]

    def _body(self, values: np.ndarray) -> bytes:
        if self.key != "v2":
            return orjson.dumps({self.key: [values.tolist()]})
        tensor = {"name": "x", "shape": [1, len(values)], "datatype": "FP64"}
        return orjson.dumps({"inputs": [{**tensor, "data": values.tolist()}]})


_MLSERVER = """
import lightgbm as lgb
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse

class Runtime(MLModel):
    async def load(self) -> bool:
        self._booster = lgb.Booster(model_file="model.txt")
        return True

    async def predict(self, payload):
        rows = NumpyCodec.decode_input(payload.inputs[0])
        said = self._booster.predict(rows, num_threads=1)
        output = NumpyCodec.encode_output("y", said)
        return InferenceResponse(model_name=self.name, outputs=[output])
"""
_BENTO = """
import bentoml
import lightgbm as lgb
import numpy as np

@bentoml.service(workers=2)
class Scores:
    def __init__(self) -> None:
        self._booster = lgb.Booster(model_file="model.txt")

    @bentoml.api
    def predict(self, rows: np.ndarray) -> np.ndarray:
        return self._booster.predict(rows, num_threads=1)
"""
_MLFLOW = """
import lightgbm as lgb, mlflow.lightgbm
mlflow.lightgbm.save_model(lgb.Booster(model_file="model.txt"), "saved")
"""
_MLSERVER_SETTINGS = {
    "host": "127.0.0.1",
    "parallel_workers": 0,
    "debug": False,
    "use_structured_logging": False,
}
PEERS = (
    Peer(
        name="MLServer, one process (its best mode)",
        environment="mlserver",
        packages=("mlserver==1.7.1", "lightgbm", "numpy", "uvloop<0.22", "setuptools<81"),
        files={
            "runtime.py": _MLSERVER,
            "model-settings.json": json.dumps({"name": "m", "implementation": "runtime.Runtime"}),
            "settings.json": json.dumps(_MLSERVER_SETTINGS),
        },
        command=("mlserver", "start", "."),
        path="/v2/models/m/infer",
        key="v2",
    ),
    Peer(
        name="MLflow, 2 workers, uvloop",
        environment="mlflow",
        packages=("mlflow", "uvloop", "lightgbm", "numpy"),
        files={},
        command=(
            *("mlflow", "models", "serve", "-m", "saved", "-w", "2", "--env-manager", "local"),
            *("-h", "127.0.0.1", "-p", "{port}"),
        ),
        path="/invocations",
        key="inputs",
        prepare=_MLFLOW,
    ),
    Peer(
        name="BentoML, 2 workers",
        environment="bentoml",
        packages=("bentoml", "lightgbm", "numpy"),
        files={"service.py": _BENTO},
        command=("bentoml", "serve", "service:Scores", "--host", "127.0.0.1", "-p", "{port}"),
        path="/predict",
        key="rows",
    ),
)


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--environments", type=Path, default=ROOT / ".peers")
    asked.add_argument("--seconds", type=float, default=4.0)
    asked.add_argument("--rounds", type=int, default=3)
    options = asked.parse_args()
    say_where()
    with stack() as made:
        made.activate("v2")
        print("\nOne row a request, 8 connections\n")
        head(
            "server",
            "version",
            "req/s",
            "p50 ms",
            "p99 ms",
            "req a CPU-second",
            "ours is",
            "failed",
        )
        with serving("wsgi:app", FIRST, made.environ) as server:
            warm(server)
            ours = _row("this platform, /predict", "", server, FIFTY, options, None)
        for peer in PEERS:
            python = _environment(options.environments, peer)
            with _running(made, peer, python) as server:
                _row(peer.name, _version(python, peer), server, peer.requests(), options, ours)
    return 0


def _row(
    name: str,
    version: str,
    server: Server,
    requests: Sequence[Request],
    options: argparse.Namespace,
    ours: float | None,
) -> float:
    """Requests a CPU-second; `ours` is what the platform reached."""
    measure(server, requests, 3)
    rounds = [measure(server, requests, options.seconds) for _ in range(options.rounds)]
    per_cpu_second = 1e6 / median(each.cpu_us for each in rounds)
    row(
        name,
        version,
        f"{median(each.measured.per_second for each in rounds):,.0f}",
        f"{median(each.measured.p50_ms for each in rounds):.1f}",
        f"{median(each.measured.p99_ms for each in rounds):.1f}",
        f"{per_cpu_second:,.0f}",
        f"{ours / per_cpu_second:.1f} times" if ours else "",
        sum(each.measured.failed for each in rounds),
    )
    return per_cpu_second


def _environment(folder: Path, peer: Peer) -> Path:
    """The peer's own Python, made if it is missing."""
    python = folder / peer.environment / "bin" / "python"
    if not python.exists():
        print(f"installing {' '.join(peer.packages)}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
        pip = [python, "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, *peer.packages], check=True)
    return python


def _version(python: Path, peer: Peer) -> str:
    said = f"from importlib.metadata import version; print(version({peer.environment!r}))"
    done = subprocess.run([python, "-c", said], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@contextmanager
def _running(made: Stack, peer: Peer, python: Path) -> Iterator[Server]:
    folder, port = made.folder / peer.environment, free_port()
    folder.mkdir()
    model = made.folder / "artifacts/models/main/v2/model.txt"
    (folder / "model.txt").write_bytes(model.read_bytes())
    for name, text in peer.files.items():
        (folder / name).write_text(text)
    environ = {
        **os.environ,
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "MLSERVER_HTTP_PORT": str(port),
        "MLSERVER_GRPC_PORT": str(free_port()),
        "MLSERVER_METRICS_PORT": str(free_port()),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "BENTOML_DO_NOT_TRACK": "true",
        "BENTOML_HOME": str(folder / "home"),
    }
    log = (folder / "log").open("w+")
    if peer.prepare:
        subprocess.run(
            [python, "-c", peer.prepare], cwd=folder, env=environ, check=True, stderr=log
        )
    begun = time.perf_counter()
    command = [part.format(port=port) for part in peer.command]
    process = subprocess.Popen(
        [str(python.parent / command[0]), *command[1:]],
        cwd=folder,
        env=environ,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        while not _answers(port, peer):
            if process.poll() is not None or time.perf_counter() - begun > 120:
                log.seek(0)
                raise SystemExit(f"{peer.name} does not answer:\n{log.read()[-3000:]}")
            time.sleep(0.1)
        yield Server(port, process, time.perf_counter() - begun)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        log.close()


def _answers(port: int, peer: Peer) -> bool:
    client = Client(port)
    try:
        _, path, body = peer.requests()[0]
        return client.post(path, body)[0] == 200
    except (OSError, EOFError, TypeError):
        return False
    finally:
        client.close()


if __name__ == "__main__":
    sys.exit(main())
