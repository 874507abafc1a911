"""A real gunicorn under the project's own configuration: what its parser refuses."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.patience import eventually, patience
from tests.supervised import free_port

from mlengine import config

ROOT = Path(__file__).parents[3]
APP = """
import json, time
from mlengine import logs
logs.configure("INFO", json=True)
def app(environ, start_response):
    if environ["PATH_INFO"] == "/slow": time.sleep(3)
    if environ["PATH_INFO"] == "/broken": raise RuntimeError("on purpose")
    path = environ["PATH_INFO"].encode("latin-1").decode()
    body = json.dumps({"path": path, "query": environ["QUERY_STRING"]}).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@dataclass
class Server:
    port: int
    log: Path

    def say(self, raw: bytes) -> tuple[int, dict[str, str], dict[str, object]]:
        """Send these bytes, read to the end: status, headers, JSON body."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as line:
            line.sendall(raw)
            parts = iter(lambda: line.recv(65536), b"")
            head, _, body = b"".join(parts).partition(b"\r\n\r\n")
        first, *rest = head.decode().split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (h.partition(":") for h in rest)
        }
        return int(first.split()[1]), headers, json.loads(body)

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("gunicorn")
    (folder / "echo.py").write_text(APP)
    server = Server(free_port(), folder / "log")
    environ = {"PORT": str(server.port), "WEB_WORKERS": "1", "PYTHONPATH": str(folder)}
    with server.log.open("w") as log:
        process = _gunicorn("echo:app", {**environ, "ENV": "staging"}, stderr=log.fileno())
    try:
        assert eventually(lambda: _answers(server.port), seconds=20)
        yield server
    finally:
        process.terminate()
        process.wait()


def _gunicorn(app: str, environ: dict[str, str], *, stderr: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", app],
        cwd=ROOT,
        env=config.environment_for_child({**environ, "FLASK_SKIP_DOTENV": "1"}),
        stderr=stderr,
    )


def _answers(port: int) -> bool:
    try:
        return Server(port, Path()).say(_get(b"/"))[0] == 200
    except OSError:
        return False


def _get(target: bytes, *headers: bytes) -> bytes:
    lines = [b"GET " + target + b" HTTP/1.1", b"Host: localhost", b"Connection: close", *headers]
    return b"\r\n".join([*lines, b"", b""])


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (_get(b"/" + b"x" * 9000), 414),
        (_get(b"/", b"X-Long: " + b"x" * 9000), 431),
        (_get(b"/", *[b"X-Many: 1"] * 120), 431),
        (_get(b"/", b"Content-Length: many"), 400),
        (_get(b"/", b"Content-Length: -1"), 400),
        (_get(b"/", b"Expect: a miracle"), 417),
        (_get(b"/", b"Transfer-Encoding: rot13"), 501),
        (_get(b"/ x"), 400),
        (b"nonsense\r\n\r\n", 400),
        (b"get / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
    ],
)
def test_what_the_parser_refuses_is_a_problem_and_one_line(
    server: Server, raw: bytes, status: int
) -> None:
    before = len(server.lines())
    answered, headers, body = server.say(raw)
    assert (answered, body["status"], body["code"]) == (status, status, "invalid_request")
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-request-id"] == body["request_id"]
    assert body["type"] == "urn:mlengine:problem:invalid_request"
    assert eventually(lambda: len(server.lines()) == before + 1)
    line = server.lines()[-1]
    assert (line["event"], line["status"]) == ("request refused", status)
    assert line["request_id"] == body["request_id"]


def test_raw_text_in_the_target_is_taken_as_if_it_were_encoded(server: Server) -> None:
    status, _, body = server.say(_get("/models/v１?symbol=é".encode()))
    assert (status, body["path"], body["query"]) == (200, "/models/v１", "symbol=%C3%A9")


def test_an_application_that_breaks_is_an_internal_problem(server: Server) -> None:
    status, headers, body = server.say(_get(b"/broken"))
    assert (status, body["code"]) == (500, "internal")
    assert headers["content-type"] == "application/problem+json"
    assert "on purpose" not in json.dumps(body)
    assert eventually(lambda: "on purpose" in str(server.lines()[-1].get("traceback")))


def test_slow_answers_and_silent_clients_leave_room_for_others(server: Server) -> None:
    address = ("127.0.0.1", server.port)
    silent = [socket.create_connection(address) for _ in range(8)]
    slow = [socket.create_connection(address) for _ in range(3)]
    try:
        for line in slow:
            line.sendall(_get(b"/slow"))
        begun = time.monotonic()
        assert server.say(_get(b"/"))[0] == 200
        assert time.monotonic() - begun < patience(2.5)
    finally:
        for line in [*silent, *slow]:
            line.close()


@pytest.mark.soak
def test_a_client_that_stops_in_the_middle_loses_its_thread_without_a_word(server: Server) -> None:
    before = len(server.lines())
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as line:
        line.sendall(b"GET /hea")
        assert line.recv(1) == b""
    assert len(server.lines()) == before


def test_an_application_that_can_not_be_made_ends_the_server_and_says_so_once() -> None:
    read, write = os.pipe()
    environ = {"PORT": str(free_port()), "WEB_WORKERS": "2", "TRAIN_FEATURE_SET": "unheard-of"}
    process = _gunicorn("wsgi:app", environ, stderr=write)
    os.close(write)
    with os.fdopen(read) as said:
        assert process.wait(timeout=patience(30)) == 4
        lines = [line for line in said.read().splitlines() if line.startswith("mlengine: ")]
    assert len(lines) == 1
    assert lines[0].startswith("mlengine: TRAIN_FEATURE_SET='unheard-of': expected one of ")
