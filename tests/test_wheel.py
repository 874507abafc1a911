"""The wheel alone is a whole platform: no checkout, an empty folder, one command."""

from __future__ import annotations

import json
import os
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

import pytest
from tests.patience import eventually, patience
from tests.supervised import alive, free_port

from mlengine import __version__
from mlengine.stores.queue.server import resolve_url

ROOT = Path(__file__).parent.parent
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")


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
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    if (tmp_path / "artifacts" / "queue" / "server.json").exists():
        socket = Path(resolve_url(None, tmp_path / "artifacts").removeprefix("unix://"))
        shutil.rmtree(socket.parent, ignore_errors=True)


def test_the_wheel_holds_migrations_templates_and_types(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for file in (ROOT / "src" / "mlengine").rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            assert file.relative_to(ROOT / "src").as_posix() in names


def test_every_command_is_listed_without_a_checkout(program: Path, folder: Path) -> None:
    listed = _run(program, folder, "--help").stdout
    commands = "audit bars dataset db doctor features limiter migrate models monitor predict reload"
    for name in (*commands.split(), *("train", "up", "web", "worker")):
        assert f"\n  {name} " in listed
    assert "\n  prepare " not in listed
    assert _run(program, folder, "--version").stdout == f"mlengine, version {__version__}\n"
    assert list(folder.iterdir()) == []


def test_one_command_in_an_empty_folder_ends_in_a_prediction(program: Path, folder: Path) -> None:
    # A file and no pipe: a platform whose log nobody reads waits.
    port, log = free_port(), folder.with_suffix(".log")
    with log.open("wb") as said:
        platform = subprocess.Popen(
            [program, "up"],
            cwd=folder,
            env=_environment(PORT=str(port)),
            stdout=said,
            stderr=subprocess.STDOUT,
        )
    try:
        answered = eventually(lambda: _status(port, "/predict?symbol=AAPL") == 200, seconds=90)
        processes = _descendants(platform.pid)
        listed = _run(program, folder, "models", "list", "--json")
        platform.send_signal(signal.SIGINT)
        platform.wait(timeout=patience(15))
    finally:
        platform.kill()
        platform.wait()
    output = log.read_text()
    assert answered, output
    assert platform.returncode == 0
    assert len(processes) >= 5, "queue server, worker, gunicorn's master and its two workers"
    assert not any(alive(pid) for pid in processes)
    assert sorted(each.name for each in folder.iterdir()) == [".env", "artifacts"]
    assert "wrote .env with a random ADMIN_API_KEY" in output
    assert json.loads(listed.stdout)["active_version"] == "v1"


def _environment(**settings: str) -> dict[str, str]:
    """Of a user who has set nothing."""
    return {"PATH": os.defpath, "HOME": "/nonexistent", **settings}


def _run(program: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *arguments],
        cwd=folder,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def _status(port: int, path: str) -> int | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return None


def _descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [each for child in map(int, children) for each in (child, *_descendants(child))]
