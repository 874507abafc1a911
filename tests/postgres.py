"""A real PostgreSQL server of its own, where one is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def what_is_missing() -> str | None:
    """Why there can be no server; None where there can."""
    if _binaries() is None:
        return "no PostgreSQL is installed"
    user = _user()
    if user and user not in {each.pw_name for each in pwd.getpwall()}:
        return "there is no user to run PostgreSQL as"
    return None


@contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of one on a socket in its folder; nothing is forced to disk."""
    binaries, user = _binaries(), _user()
    assert binaries is not None
    folder = Path(tempfile.mkdtemp(prefix="mlpg-"))
    if user:
        shutil.chown(folder, user)
    data, options = str(folder / "data"), f"-k {folder} -c listen_addresses= -c fsync=off"

    def run(program: str, *arguments: str) -> None:
        command = [str(binaries / program), "-D", data, *arguments]
        subprocess.run(command, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)

    try:
        run("initdb", "-A", "trust", "-U", "postgres")
        run("pg_ctl", "-o", options, "-l", str(folder / "log"), "-t", "300", "-w", "start")
        try:
            yield f"postgresql+psycopg://postgres@/postgres?host={folder}"
        finally:
            run("pg_ctl", "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path | None:
    on_path = shutil.which("initdb")
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return Path(on_path).parent if on_path else installed[-1].parent if installed else None


def _user() -> str | None:
    """The server refuses to run as root."""
    return None if os.getuid() else "postgres"
