"""The README's five minutes and the API's examples, on a real platform: what they print.

The platform is that of the wheel alone: no checkout, an empty folder, one command.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import urllib.error
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.pages.api_examples import Example, absent, examples
from tests.pages.markdown import ROOT, blocks, section
from tests.patience import eventually, patience
from tests.supervised import alive, free_port
from tests.web.conformance import faults, template_of

from mlengine import __version__
from mlengine.stores.queue.server import resolve_url
from mlengine.web.http.responses import PROBLEM_TYPE

PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")
TOUR = blocks(section((ROOT / "README.md").read_text(), "Five minutes"))
COMMANDS = [text for language, text in TOUR if language == "sh"]
OUTPUTS = [text for language, text in TOUR if not language]

# What differs from one run to another, and what stands for it here.
VARYING = {
    r"\d{4}-\d\d-\d\dT[\d:.]+Z": "TIME",
    r"\b[0-9a-f]{12,}…?": "ID",
    r"\bcli:\S+": "USER",
    r"(?<![\w.])-?\d+(?:\.\d+)?(?:e-?\d+)?(?![\w])": "NUMBER",
    r" +": " ",
}

# What these print is the same on every machine, to the last digit: one seed, and the same bars.
SEEDED = ("mlengine predict IBM", "mlengine models show v1")


def shape(text: str) -> str:
    """`text` with its words, fields and columns, but none of what varies."""
    for pattern, name in VARYING.items():
        text = re.sub(pattern, name, text)
    return text.strip()


class Tour:
    """A platform in a folder that was empty, and the terminal beside it."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._printed = folder.with_name("printed")
        # Of a user who has set nothing.
        path = f"{program.parent}:{os.environ['PATH']}"
        self._environment = {"PATH": path, "HOME": "/nonexistent"}
        with self._printed.open("wb") as stdout:
            self._platform = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {COMMANDS[0]}"],
                cwd=folder,
                env={**self._environment, "PORT": str(self._port)},
                stdout=stdout,
                stderr=subprocess.DEVNULL,
            )

    def printed(self) -> str:
        """By the first command, so far."""
        return self._printed.read_text()

    def run(self, command: str) -> str:
        """What `command` prints once no training is under way."""
        assert eventually(self._is_idle, seconds=60)
        return subprocess.run(
            ["/bin/sh", "-c", command.replace("localhost:8000", f"localhost:{self._port}")],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
        ).stdout

    def processes(self) -> list[int]:
        return _descendants(self._platform.pid)

    def stop(self) -> int:
        self._platform.send_signal(signal.SIGINT)
        try:
            return self._platform.wait(timeout=patience(30))
        finally:
            self._platform.kill()

    def request(self, method: str, target: str, body: bytes = b"") -> tuple[int, dict[str, Any]]:
        """Status and document of an answer to a holder of the admin key."""
        key = re.search(r"^ADMIN_API_KEY=(\S+)", (self._folder / ".env").read_text(), re.MULTILINE)
        assert key is not None
        headers = {"X-API-Key": key[1], "Content-Type": "application/json"}
        url = f"http://127.0.0.1:{self._port}{target}"
        request = urllib.request.Request(url, body or None, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, json.load(refusal)

    def _is_idle(self) -> bool:
        _, status = self.request("GET", "/admin/train/status")
        return status["state"] not in ("queued", "running")


def _descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [each for child in map(int, children) for each in (child, *_descendants(child))]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", source / "src", ignore=ignore)
    for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    options = ("--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(target))
    subprocess.run([*PIP, "wheel", *options, str(source)], check=True)
    (built,) = target.iterdir()
    return built


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`mlengine` of an environment that has the wheel, and this one's packages for the rest."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    options = ("--python", str(python), "install", "--no-deps", "--no-index")
    subprocess.run([*PIP, *options, str(wheel)], check=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    # A path that a .pth file adds has no .pth files read, so the editable checkout stays out.
    (packages / "locked.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "mlengine"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "platform"
    folder.mkdir()
    return folder


@pytest.fixture
def tour(program: Path, folder: Path) -> Iterator[Tour]:
    tour = Tour(program, folder)
    yield tour
    tour.stop()
    socket = Path(resolve_url(None, folder / "artifacts").removeprefix("unix://"))
    shutil.rmtree(socket.parent, ignore_errors=True)


def test_the_wheel_holds_migrations_templates_and_types(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for file in (ROOT / "src" / "mlengine").rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            assert file.relative_to(ROOT / "src").as_posix() in names


def test_every_command_is_listed_without_a_checkout(program: Path, folder: Path) -> None:
    listed = _run(program, folder, "--help")
    commands = "audit bars dataset db doctor features limiter migrate models monitor predict reload"
    for name in (*commands.split(), *("train", "up", "web", "worker")):
        assert f"\n  {name} " in listed
    assert "\n  prepare " not in listed
    assert _run(program, folder, "--version") == f"mlengine, version {__version__}\n"
    assert list(folder.iterdir()) == []


def _run(program: Path, folder: Path, argument: str) -> str:
    return subprocess.run(
        [program, argument],
        cwd=folder,
        env={"PATH": os.defpath, "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_what_a_seed_decides_is_shown_in_two_places() -> None:
    assert sum(command.startswith(SEEDED) for command in COMMANDS) == len(SEEDED)


def test_a_platform_prints_and_answers_what_the_pages_show(tour: Tour, folder: Path) -> None:
    assert len(COMMANDS) == len(OUTPUTS)
    assert eventually(lambda: "\nready: " in tour.printed(), seconds=90), tour.printed()
    progress = r"training: .*\n"
    started = re.sub(progress, "", tour.printed())
    assert shape(started) == shape(re.sub(progress, "", OUTPUTS[0]))
    for command, output in zip(COMMANDS[1:], OUTPUTS[1:], strict=True):
        printed = tour.run(command)
        assert shape(printed).splitlines() == shape(output).splitlines(), command
        assert not command.startswith(SEEDED) or printed.split() == output.split()
    differing = list(differences(tour))
    assert differing == []
    ((_, checks),) = blocks(
        section((ROOT / "docs" / "operations.md").read_text(), "What is wrong?")
    )
    document = json.loads(tour.run("mlengine doctor --json || true"))
    assert [check["name"] for check in document["checks"]] == names_of_checks(checks)
    processes = tour.processes()
    assert len(processes) >= 5, "queue server, worker, gunicorn's master and its two workers"
    assert tour.stop() == 0
    assert not any(alive(pid) for pid in processes)
    assert sorted(each.name for each in folder.iterdir()) == [".env", "artifacts"]


def names_of_checks(listed: str) -> list[str]:
    return re.findall(r"^  ok {7}([a-z ]+?) {2,}", listed, re.MULTILINE)


def differences(tour: Tour) -> Iterator[str]:
    """What a platform after the tour answers otherwise than docs/api.md shows."""
    prediction_id = ""
    for example in examples():
        target = re.sub(r"[0-9a-f]{32}", prediction_id, example.target)
        status, answer = tour.request(example.method, target, example.body)
        prediction_id = answer.get("prediction_id", prediction_id)
        request = f"{example.method} {target}"
        if status != example.status:
            yield f"{request}: {status} {answer}"
        yield from (f"{request}: {place}" for place in absent(example.answer, answer))
        yield from (f"{request}: {name}, too" for name in _undocumented(example, answer))
        yield from (f"{request}: {fault}" for fault in _at_odds(example, status, answer))


def _at_odds(example: Example, status: int, answer: dict[str, Any]) -> list[str]:
    """With the OpenAPI document, which must name every member that is there."""
    path = template_of(example.target.partition("?")[0])
    kind = "application/json" if status < 400 else PROBLEM_TYPE
    return faults(path, example.method, status, kind, json.dumps(answer).encode())


def _undocumented(example: Example, answer: dict[str, Any]) -> set[str]:
    assert isinstance(example.answer, dict)
    return set(answer) - set(example.answer) if example.is_whole else set()


def test_what_varies_has_no_part_in_a_shape() -> None:
    one = 'v1  IBM   -0.5  cli:root  2026-11-28T21:02:05Z  "id": "abbc8ff225e3…", 5e-3'
    other = 'v1  IBM  12  cli:x 2013-01-01T00:00:00.1Z "id": "0123456789abcdef", 7'
    assert shape(one) == shape(other) == 'v1 IBM NUMBER USER TIME "id": "ID", NUMBER'
    assert shape("v1") != shape("v2")


def test_a_field_that_an_answer_lacks_is_noticed() -> None:
    shown = {"a": 1, "b": [{"c": "x"}], "d": {"e": None}, "details": {"f": 1}}
    assert list(absent(shown, {"a": 0.5, "b": [], "d": {"e": 1}, "details": {}})) == []
    real = {"a": "1", "b": [{"C": "x"}], "d": {}}
    assert list(absent(shown, real)) == [".a: '1'", ".b[].c", ".d.e", ".details"]
