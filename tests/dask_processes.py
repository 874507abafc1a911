"""A Dask cluster as its operator starts it: a scheduler and workers of their own, on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from distributed import Client
from tests.supervised import free_port

_LOOPBACK = ("--host", "127.0.0.1", "--no-dashboard")
_START_SECONDS = 120


@dataclass(frozen=True)
class DaskProcesses:
    """`workers` starts two of them, each in a process that a nanny watches."""

    address: str
    scheduler: subprocess.Popen[bytes]
    workers: subprocess.Popen[bytes]

    def worker_pids(self) -> list[int]:
        """The processes that fit."""
        with self.client() as client:
            return sorted(client.run(os.getpid).values())

    def data(self) -> int:
        """How many results and pieces of data the workers hold."""
        with self.client() as client:
            return sum(map(len, client.has_what().values()))

    def at_work(self) -> bool:
        """Whether a worker is at a task."""
        with self.client() as client:
            return any(client.processing().values())

    def client(self) -> Client:
        return Client(self.address, timeout=_START_SECONDS, set_as_default=False)


@contextmanager
def dask_processes(folder: Path, *, count: int = 2) -> Iterator[DaskProcesses]:
    """`count` workers of one thread; `folder` is theirs, and has their logs."""
    address = f"tcp://127.0.0.1:{free_port()}"
    port = ("--port", address.rpartition(":")[2])
    many = ("--nworkers", str(count), "--nthreads", "1", "--memory-limit", "0")
    scheduler = _start(folder, "dask_scheduler", *_LOOPBACK, *port)
    workers = _start(
        folder, "dask_worker", address, *_LOOPBACK, *many, "--local-directory", str(folder)
    )
    try:
        cluster = DaskProcesses(address, scheduler, workers)
        with cluster.client() as client:
            client.wait_for_workers(count, timeout=_START_SECONDS)
        yield cluster
    finally:
        for process in (workers, scheduler):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start(folder: Path, module: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"distributed.cli.{module}", *arguments]
    with (folder / f"{module}.log").open("a") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
