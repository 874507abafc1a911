"""A real gunicorn under the project's own configuration, over a tiny application."""

from __future__ import annotations

import http.client
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.patience import eventually
from tests.supervised import alive, free_port

from mlengine import config

ROOT = Path(__file__).parent.parent
APP = """
import os
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def master(tmp_path: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    (tmp_path / "tiny.py").write_text(APP)
    environ = {"PORT": str(port), "WEB_WORKERS": "2", "PYTHONPATH": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "tiny:app"],
        cwd=ROOT,
        env=config.environment_for_child({**environ, "HOME": str(tmp_path)}),
    )
    yield process
    process.kill()
    process.wait()


def test_the_settings_decide_and_no_worker_outlives_a_killed_master(
    master: subprocess.Popen[bytes], port: int, tmp_path: Path
) -> None:
    assert eventually(lambda: _get(port) is not None)
    children = Path(f"/proc/{master.pid}/task/{master.pid}/children")
    assert eventually(lambda: len(children.read_text().split()) == 2)
    workers = [int(pid) for pid in children.read_text().split()]
    assert int(_get(port) or 0) in workers
    assert _get(port, path="/" + "v" * 5000) is not None
    assert not (tmp_path / ".gunicorn").exists()
    master.kill()
    master.wait()
    assert eventually(lambda: not any(alive(pid) for pid in workers), seconds=2)


def test_what_the_workers_share_is_safe_to_fork(master: subprocess.Popen[bytes], port: int) -> None:
    assert eventually(lambda: _get(port) is not None)
    loaded = Path(f"/proc/{master.pid}/maps").read_text()
    assert "sqlalchemy" in loaded
    assert not [name for name in ("polars", "lightgbm", "libgomp", "numpy") if name in loaded]


def test_a_bad_setting_is_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "tiny:app"],
        cwd=ROOT,
        env=config.environment_for_child({"PORT": "x"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == "mlengine: PORT='x': expected a whole number from 1 to 65535\n"
    assert done.returncode == 1


def _get(port: int, *, path: str = "/") -> bytes | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.read() if answer.status == 200 else None
    except OSError:
        return None
    finally:
        connection.close()
