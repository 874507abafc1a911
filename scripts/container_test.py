"""Prove the image as the README runs it: `python3 scripts/container_test.py`.

In a copy of this checkout without its `.env`: build, first training, prediction, stop under load,
restart on the same volume, and upgrade from the image of the version before. Standard library
only. Exit code 75, and a line that begins with NOT_TESTED, where this machine can't run containers.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import container

NOT_TESTED = "CONTAINER NOT TESTED: this machine can't run containers: "
CANNOT_RUN = 75
STOP_SECONDS = 10.0
PATIENCE_SECONDS = 300.0
PREDICT = "/predict?symbol=AAPL"
# Its uid, capabilities and no_new_privs, and whether its file system is read-only; with what the
# extras [postgres] and [s3] bring.
CONFINED = """
import os, pathlib, psycopg, obstore
fields = [line.split() for line in pathlib.Path('/proc/self/status').read_text().splitlines()]
confined = [words[1] for words in fields if words[0] in ('CapEff:', 'CapBnd:', 'NoNewPrivs:')]
print(os.getuid(), confined, os.statvfs('/').f_flag & os.ST_RDONLY)
"""


def main() -> None:
    engine = engine_that_runs()
    names = {
        "IMAGE": f"mlengine-test-{os.getpid()}",
        "MLENGINE_NAME": f"mlengine-test-{os.getpid()}",
    }
    with tempfile.TemporaryDirectory(prefix="mlengine-") as temporary:
        checkout = copy_of_checkout(Path(temporary) / "checkout")
        platform = Platform(engine, checkout, {**names, "PORT": str(free_port())})
        try:
            prove(platform)
            prove_upgrade(platform, Path(temporary))
        finally:
            platform.clear()
    print("container: all of it holds", flush=True)


def prove(platform: Platform) -> None:
    """A fresh clone to a prediction, a stop, and again on the same volume."""
    with step("make docker-build"):
        platform.make("docker-build")
    with step("make docker-run: first training"):
        platform.start()
    with step("prediction, confined process"):
        first = platform.get(PREDICT)
        expect(first["model_version"] == "v1", first)
        confined = platform.execute("python", "-c", CONFINED)
        expect(confined == "10001 ['0000000000000000', '0000000000000000', '1'] 1\n", confined)
    with step("Ctrl-C during a training"):
        platform.train()
        platform.interrupt()
    with step("restart on the same volume"):
        platform.lift_rate_limit()
        platform.start()
        again = platform.get(PREDICT)
        expect(again["probability_up"] == first["probability_up"], again)
        expect(again["model_version"] == "v1", again)
        expect(first["prediction_id"] in platform.audited(), first)
    with step("stop under load"):
        platform.stop_under_load()
    platform.remove_volume()


def prove_upgrade(platform: Platform, temporary: Path) -> None:
    """What the version before left behind serves and is replayed bit for bit."""
    commit = version_before(container.ROOT)
    if commit is None:
        print(
            "container: no version before is in this clone's history: no upgrade to prove",
            flush=True,
        )
        return
    old_image = platform.variables["IMAGE"] + "-before"
    with step(f"image of the version before ({commit[:9]})"):
        old = temporary / "before"
        extract(commit, old)
        container.build({**os.environ, "IMAGE": old_image}, old)
    with step("first training of the version before"):
        platform.start(image=old_image)
        before = platform.get(PREDICT)
        platform.stop()
    with step("upgrade on its volume"):
        platform.start()
        after = platform.get(PREDICT)
        expect(after["model_version"] == before["model_version"], after)
        expect(after["probability_up"] == before["probability_up"], (before, after))
        replayed = platform.post(f"/predictions/{before['prediction_id']}/replay")
        expect(replayed["status"] == "identical", replayed)
        platform.stop()


@dataclass
class Platform:
    """The platform in a container, started by the command of the README."""

    engine: list[str]
    checkout: Path
    variables: dict[str, str]
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def port(self) -> int:
        return int(self.variables["PORT"])

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, **self.variables}

    def make(self, target: str) -> None:
        subprocess.run(["make", target], cwd=self.checkout, env=self.environment, check=True)

    def start(self, image: str | None = None) -> None:
        """Run it until it can predict."""
        command = ["make", "docker-run"]
        environment = self.environment
        if image:
            command = [sys.executable, str(container.ROOT / "scripts" / "container.py"), "run"]
            environment["IMAGE"] = image
        self.process = subprocess.Popen(
            command, cwd=self.checkout, env=environment, start_new_session=True
        )
        until = time.monotonic() + PATIENCE_SECONDS
        while not self.is_ready():
            expect(self.process.poll() is None, "it ended before it was ready")
            expect(time.monotonic() < until, "it isn't ready")
            time.sleep(0.2)

    def is_ready(self) -> bool:
        with suppress(OSError, http.client.HTTPException):
            return self._request("GET", "/ready")[0] == 200
        return False

    def get(self, path: str) -> dict[str, object]:
        return self._answer("GET", path)

    def post(self, path: str) -> dict[str, object]:
        return self._answer("POST", path)

    def _answer(self, method: str, path: str) -> dict[str, object]:
        status, body = self._request(method, path)
        expect(status in (200, 202), f"{method} {path}: {status} {body!r}")
        return json.loads(body)

    def _request(self, method: str, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, headers={"X-API-Key": self.admin_key()})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def admin_key(self) -> str:
        found = re.search(
            r"^ADMIN_API_KEY=(.+)$", (self.checkout / ".env").read_text(), re.MULTILINE
        )
        return found[1] if found else ""

    def lift_rate_limit(self) -> None:
        with (self.checkout / ".env").open("a") as file:
            file.write("RATE_LIMIT_REQUESTS=0\n")

    def audited(self) -> str:
        return self._request("GET", "/predictions/recent?limit=100")[1].decode()

    def execute(self, *command: str) -> str:
        line = [*self.engine, "exec", self.variables["MLENGINE_NAME"], *command]
        return subprocess.run(line, capture_output=True, text=True, check=True).stdout

    def train(self) -> None:
        """Ask for a training and wait until it runs."""
        run = self.post("/admin/train")["run_id"]
        until = time.monotonic() + PATIENCE_SECONDS
        while self.get(f"/admin/train/status?run_id={run}")["state"] == "queued":
            expect(time.monotonic() < until, "the training isn't started")
            time.sleep(0.2)

    def stop_under_load(self) -> None:
        """Four clients ask on new connections all the while: each request gets its answer."""
        loads = [Load(self.port) for _ in range(4)]
        for load in loads:
            load.start()
        time.sleep(1)
        self.stop()
        for load in loads:
            load.join()
        failures = [failure for load in loads for failure in load.failures]
        answered = sum(load.answered for load in loads)
        expect(not failures, f"{len(failures)} of {answered} failed: {failures[:5]}")
        print(f"container: {answered} requests before and while it stopped, 0 failed", flush=True)

    def stop(self) -> None:
        """By the engine, with the time that it gives of its own accord."""
        stop = [*self.engine, "stop", self.variables["MLENGINE_NAME"]]
        self._end(lambda _: subprocess.run(stop, capture_output=True, check=True), {0})

    def interrupt(self) -> None:
        """As Ctrl-C does: SIGINT to all that the terminal started."""
        self._end(lambda pid: os.killpg(pid, signal.SIGINT), {0, 2, -signal.SIGINT})

    def _end(self, end: Callable[[int], object], codes: set[int]) -> None:
        if self.process is None:
            return
        started = time.monotonic()
        end(self.process.pid)
        code = self.process.wait(timeout=60)
        # The engine's client may end before the container does.
        while self.is_there() and time.monotonic() < started + PATIENCE_SECONDS:
            time.sleep(0.1)
        took = time.monotonic() - started
        expect(took < STOP_SECONDS, f"it took {took:.1f} s to stop")
        expect(code in codes, f"it ended with {code}")
        print(f"container: stopped within {took:.1f} s", flush=True)

    def is_there(self) -> bool:
        listing = [*self.engine, "ps", "--all", "--format", "{{.Names}}"]
        names = subprocess.run(listing, capture_output=True, text=True, check=True).stdout
        return self.variables["MLENGINE_NAME"] in names.split()

    def remove_volume(self) -> None:
        self._quietly("volume", "rm", f"{self.variables['MLENGINE_NAME']}-artifacts")

    def clear(self) -> None:
        """Leave nothing but the layers, which make the next build quick."""
        if self.process and self.process.poll() is None:
            self._quietly("rm", "--force", self.variables["MLENGINE_NAME"])
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.remove_volume()
        for name in (self.variables["IMAGE"], self.variables["IMAGE"] + "-before"):
            self._quietly("tag", name, name.replace(f"-test-{os.getpid()}", "-test"))
            self._quietly("rmi", name)

    def _quietly(self, *command: str) -> None:
        subprocess.run([*self.engine, *command], capture_output=True, check=False)


class Load(threading.Thread):
    """Requests one after the other, each on a connection of its own, until nobody listens."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port, self.answered, self.failures = port, 0, []

    def run(self) -> None:
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                connection.connect()
            except ConnectionRefusedError:
                return
            try:
                connection.request("GET", PREDICT)
                status = connection.getresponse().status
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                continue
            finally:
                connection.close()
            self.answered += 1
            if status != 200:
                self.failures.append(status)


def engine_that_runs() -> list[str]:
    """The engine, once it has run a container of one static program; else ends with CANNOT_RUN."""
    try:
        engine = container.find_engine()
    except SystemExit as reason:
        cannot_run(str(reason))
    program = shutil.which("ldconfig", path="/sbin:/usr/sbin")
    if program is None:
        return engine
    image = f"localhost/mlengine-probe:{os.getpid()}"
    imported = subprocess.run(
        [*engine, "import", "-", image], input=archive_of(program), capture_output=True, check=False
    )
    done = subprocess.run(
        [*engine, "run", "--rm", "--network", "none" if engine[0] == "docker" else "host"]
        + [*container.ulimits(), *container.HARDENED, image, "/program", "--version"],
        capture_output=True,
        text=True,
        check=False,
    )
    subprocess.run([*engine, "rmi", image], capture_output=True, check=False)
    if imported.returncode or done.returncode:
        lines = (imported.stderr.decode() + done.stderr).strip().splitlines()
        cannot_run(lines[-1] if lines else f"exit code {done.returncode}")
    return engine


def archive_of(program: str) -> bytes:
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(os.path.realpath(program), "program")
    return buffer.getvalue()


def cannot_run(reason: str) -> None:
    print(f"{NOT_TESTED}{reason}", flush=True)
    sys.exit(CANNOT_RUN)


def copy_of_checkout(target: Path) -> Path:
    """What a clone would hold, with what isn't committed yet."""
    names = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    for name in filter(None, names):
        source = container.ROOT / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    return target


def version_before(root: Path) -> str | None:
    """The last commit of the version before: its tag, or the one before CHANGELOG.md went on."""
    headings = re.findall(r"^## (\d\S*?),? ", (root / "CHANGELOG.md").read_text(), re.MULTILINE)
    if len(headings) < 2:
        return None
    with suppress(subprocess.CalledProcessError):
        return git("rev-parse", "--verify", "--quiet", f"v{headings[1]}^{{commit}}").strip()
    opened = git("log", "--format=%H", f"-S## {headings[0]}", "--", "CHANGELOG.md").split()
    with suppress(subprocess.CalledProcessError, IndexError):
        return git("rev-parse", "--verify", "--quiet", f"{opened[-1]}^").strip()
    return None


def extract(commit: str, target: Path) -> None:
    archive = subprocess.run(
        ["git", "archive", commit], cwd=container.ROOT, capture_output=True, check=True
    ).stdout
    target.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "-x", "-C", str(target)], input=archive, check=True)


def git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=container.ROOT, capture_output=True, text=True, check=True
    ).stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def expect(holds: object, otherwise: object) -> None:
    if not holds:
        sys.exit(f"container: {otherwise}")


@contextmanager
def step(name: str) -> Iterator[None]:
    started = time.monotonic()
    print(f"container: {name} …", flush=True)
    yield
    print(f"container: {name}: {time.monotonic() - started:.1f} s", flush=True)


if __name__ == "__main__":
    main()
