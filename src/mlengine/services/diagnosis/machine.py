"""Checks of this machine: its Python, disk, port and clock."""

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Mapping
from datetime import datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from mlengine.core.timestamps import rfc3339
from mlengine.errors import ArtifactsUnavailable, CannotStart
from mlengine.services.diagnosis.checks import Finding
from mlengine.stores.system import atomic_files, preflight

_PROBE_BYTES = 1_048_576
_ENOUGH_BYTES = 1_073_741_824
_MOST_LEAD_SECONDS = 5.0


def check_runtime() -> Finding:
    """LightGBM finds its OpenMP runtime."""
    preflight.require_openmp()
    return Finding("ok", f"Python {platform.python_version()}, libgomp.so.1 is there")


def check_disk(folder: Path) -> Finding:
    """A file can be written in `folder`, or where it will be made; the file is gone afterwards."""
    place = nearest_folder(folder)
    try:
        probe_disk(place)
    except OSError as error:
        raise ArtifactsUnavailable(f"{atomic_files.describe_error(error)} ({place})") from error
    free = shutil.disk_usage(place).free
    detail = f"{place} can be written, {format_bytes(free)} are free"
    return Finding("warning" if free < _ENOUGH_BYTES else "ok", detail)


def nearest_folder(path: Path) -> Path:
    """`path`, or the first above it that is there."""
    return next(each for each in (path, *path.parents) if each.exists())


def probe_disk(folder: Path) -> None:
    """Write a file there that is gone afterwards; raises OSError."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(_PROBE_BYTES))
        file.flush()
        os.fsync(file.fileno())


def format_bytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def check_port(host: str, port: int, artifacts_dir: Path) -> Finding:
    """Nobody listens there but this platform; raises CannotStart."""
    try:
        preflight.require_port(host, port)
    except CannotStart:
        if not _is_platform(host, port):
            raise
        if preflight.is_supervised(artifacts_dir):
            pid = preflight.supervisor_pid(artifacts_dir)
            return Finding("ok", f"this platform (pid {pid}) listens on {host} port {port}")
        other = f"a web server of mlengine listens on {host} port {port}"
        return Finding("warning", f"{other}, but no `mlengine up` runs on {artifacts_dir}")
    return Finding("ok", f"{host} port {port} is free")


def _is_platform(host: str, port: int) -> bool:
    """Whether a web server of this package answers there."""
    connection = HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/health")
        body = json.loads(connection.getresponse().read(100_000))
    except (OSError, HTTPException, ValueError):
        return False
    finally:
        connection.close()
    return isinstance(body, dict) and {"status", "version", "checks"} <= body.keys()


def check_clock(now: datetime, *, past: datetime, leads: Mapping[str, float | None]) -> Finding:
    """`now` is after `past`, and about what the clocks of others say."""
    if now < past:
        wrong = f"it is {rfc3339(now)}, but files here are of {rfc3339(past)}"
        return Finding("failed", f"{wrong}: set this machine's clock")
    measured = {name: lead for name, lead in leads.items() if lead is not None}
    for name, lead in measured.items():
        if abs(lead) > _MOST_LEAD_SECONDS:
            way = "behind" if lead > 0 else "ahead of"
            wrong = f"it is {abs(lead):.0f} s {way} what the {name} says"
            return Finding("failed", f"{wrong}: let NTP set both, leases and schedules rely on it")
    compared = "".join(f", {-lead:+.2f} s to the {name}" for name, lead in measured.items())
    return Finding("ok", f"{rfc3339(now.replace(microsecond=0))}{compared}")
