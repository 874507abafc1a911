"""Real PostgreSQL servers of their own, where one is installed, which may be stopped and hung."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from sqlalchemy import create_engine


def what_is_missing() -> str | None:
    """Why there can be no server; None where there can."""
    if _binaries() is None:
        return "no PostgreSQL is installed"
    user = _user()
    if user and user not in {each.pw_name for each in pwd.getpwall()}:
        return "there is no user to run PostgreSQL as"
    return None


class PostgresServer:
    """One on a socket in its folder, with `options` for it; nothing is forced to disk."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://postgres@/postgres?host={self._folder}"

    def new_database(self) -> str:
        """The URL of an empty one."""
        name = f"t{token_hex(6)}"
        engine = create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return self.url.replace("/postgres?", f"/{name}?")

    def create(self) -> None:
        _run(self._folder, "initdb", "-A", "trust", "-U", "postgres")

    def copy_of(self, primary: PostgresServer) -> None:
        """A standby that follows `primary`, under the name of its folder."""
        name = self._folder.name
        address = ["-h", str(primary._folder), "-U", "postgres", "-d", f"application_name={name}"]
        _run(self._folder, "pg_basebackup", *address, "-R", "-c", "fast", "-X", "stream")

    def start(self) -> None:
        options = f"-k {self._folder} -c listen_addresses= -c fsync=off {' '.join(self._options)}"
        log = str(self._folder / "log")
        _run(self._folder, "pg_ctl", "-o", options, "-l", log, "-t", "300", "-w", "start")

    def stop(self, mode: str = "immediate") -> None:
        _run(self._folder, "pg_ctl", "-m", mode, "-w", "stop")

    def promote(self) -> None:
        _run(self._folder, "pg_ctl", "-w", "promote")

    def freeze(self) -> None:
        """Stop each of its processes where it is: sockets stay open, and nothing answers."""
        for pid in self._pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in self._pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def kill(self) -> None:
        """As when its machine is gone, also of one that is frozen."""
        for pid in self._pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def cpu_seconds(self) -> float:
        """What its processes have used so far, those that ended included."""
        total = 0
        for pid in self._pids():
            with suppress(FileNotFoundError):
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                total += sum(map(int, fields[11:15]))
        return total / os.sysconf("SC_CLK_TCK")

    def _pids(self) -> list[int]:
        postmaster = int((self._folder / "data" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        return [postmaster, *map(int, children)]


@contextmanager
def server_folder(name: str = "") -> Iterator[Path]:
    """A folder with a short path, which the server's user may write."""
    folder = Path(tempfile.mkdtemp(prefix="mlpg-")) / name
    folder.mkdir(exist_ok=True)
    if user := _user():
        for each in (folder, folder.parent):
            if each != Path(tempfile.gettempdir()):
                shutil.chown(each, user)
    try:
        yield folder
    finally:
        shutil.rmtree(folder if not name else folder.parent, ignore_errors=True)


@contextmanager
def running_server(*options: str) -> Iterator[PostgresServer]:
    """A server that runs, and is stopped in the end, whatever was done to it."""
    with server_folder() as folder:
        server = PostgresServer(folder, *options)
        server.create()
        server.start()
        try:
            yield server
        finally:
            with suppress(subprocess.CalledProcessError, FileNotFoundError):
                server.thaw()
                server.stop()


@contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of one."""
    with running_server() as server:
        yield server.url


def _run(folder: Path, program: str, *arguments: str) -> None:
    """One of PostgreSQL's programs on the data in the folder."""
    binaries = _binaries()
    assert binaries is not None
    command = [str(binaries / program), "-D", str(folder / "data"), *arguments]
    subprocess.run(command, check=True, user=_user(), cwd=folder, stdout=subprocess.DEVNULL)


def _binaries() -> Path | None:
    on_path = shutil.which("initdb")
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return (
        Path(on_path).resolve().parent if on_path else installed[-1].parent if installed else None
    )


def _user() -> str | None:
    """The server refuses to run as root."""
    return None if os.getuid() else "postgres"
