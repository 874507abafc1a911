"""A real supervisor in a process of its own, over a real queue server and tiny children.

Run as a program it is that supervisor; `Supervised` starts it and watches what it does.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from tests.patience import eventually

from mlengine import config
from mlengine.config.logging import configure_logs
from mlengine.errors import MlengineError
from mlengine.stores.queue.server import resolve_url
from mlengine.supervisor import ChildCommands, train_once, up

if TYPE_CHECKING:
    from mlengine.stores.queue.jobs import JobQueue

ROOT = Path(__file__).parent.parent

WEB = """
import http.server, os, sys
open(sys.argv[1] + "/web.pid", "w").write(str(os.getpid()))
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Health).serve_forever()
"""
SLEEPER = """
import os, sys, time
folder, name = sys.argv[1:]
open(f"{folder}/{name}.new", "w").write(str(os.getpid()))
os.rename(f"{folder}/{name}.new", f"{folder}/{name}.pid")
while True: time.sleep(60)
"""
NOTING = """
import os, signal, sys, time
folder, name = sys.argv[1:]
signal.signal(signal.SIGHUP, lambda *_: open(f"{folder}/{name}.reloaded", "w").close())
open(f"{folder}/{name}.new", "w").write(str(os.getpid()))
os.rename(f"{folder}/{name}.new", f"{folder}/{name}.pid")
while True: time.sleep(60)
"""
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)" + SLEEPER
EXIT = "import sys; sys.exit(int(sys.argv[1]))"
TRAIN = """
import os, sys, time
code, folder = sys.argv[1:3]
while not os.path.exists(folder + "/worker.pid"): time.sleep(0.02)
if code == "0":
    os.makedirs(folder + "/models/main/v1", exist_ok=True)
    if os.environ.get("TRAIN_ACTIVATE") != "never":
        open(folder + "/models/main/ACTIVE", "w").close()
sys.exit(int(code))
"""


def fakes(
    folder: Path, *, worker: str = SLEEPER, prepare: int = 0, train: int = 0
) -> ChildCommands:
    python = sys.executable
    return ChildCommands(
        web=(python, "-c", WEB, str(folder)),
        worker=(python, "-c", worker, str(folder), "worker"),
        prepare=(python, "-c", EXIT, str(prepare)),
        train=(python, "-c", TRAIN, str(train), str(folder)),
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Supervised:
    """`options` are passed to `fakes`, those in capitals are settings.

    `command` is `up` or `train`.
    """

    def __init__(self, folder: Path, *, command: str = "up", **options: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.lines: list[str] = []
        settings = {name: value for name, value in options.items() if name.isupper()}
        environment = config.environment_for_child(
            {
                "PORT": str(self.port),
                "ARTIFACTS_DIR": str(folder),
                "REDIS_URL": "",
                "PYTHONPATH": str(ROOT),
                **settings,
            }
        )
        chosen = [f"{k}={v}" for k, v in options.items() if k not in settings]
        argv = [sys.executable, __file__, command, *chosen]
        self.process = subprocess.Popen(
            argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Supervised:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()
        if (self.folder / "queue" / "server.json").exists():
            shutil.rmtree(self.socket().parent, ignore_errors=True)

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def says(self, text: str, *, seconds: float = 10.0) -> bool:
        return eventually(lambda: text in "".join(self.lines), seconds=seconds)

    def pid(self, name: str) -> int:
        path = self.folder / f"{name}.pid"
        assert eventually(lambda: path.exists() and path.read_text() != ""), self.lines
        return int(path.read_text())

    def queue_pid(self) -> int:
        return int(
            (self.folder / "queue" / "server.json").read_text().split('"pid": ')[1].split(",")[0]
        )

    def queue(self) -> JobQueue:
        from mlengine.stores.queue.jobs import JobQueue  # noqa: PLC0415 - no part of a supervisor

        return JobQueue(lambda: resolve_url(None, self.folder))

    def socket(self) -> Path:
        return Path(resolve_url(None, self.folder).removeprefix("unix://"))

    def pids(self) -> list[int]:
        return [self.pid("web"), self.pid("worker"), self.queue_pid()]

    def send(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)


def main(command: str, *options: str) -> int:
    chosen = dict(option.split("=", 1) for option in options)
    workers = {"deaf": DEAF, "failing": "raise SystemExit(3)", "noting": NOTING}
    worker = workers.get(chosen.get("worker", ""), SLEEPER)
    settings = config.load_from_environment()
    configure_logs(settings)
    commands = fakes(
        settings.artifacts_dir,
        worker=worker,
        prepare=int(chosen.get("prepare", "0")),
        train=int(chosen.get("train", "0")),
    )
    return {"up": up, "train": train_once}[command](settings, commands)


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except MlengineError as error:
        sys.exit(f"mlengine: {error}")
