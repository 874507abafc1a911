"""What commands cost that need no model: `python -m benchmarks.commands`.

CPU seconds of a whole process in a folder with one version, the least of five.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.platforms import make_platform

COMMANDS = (
    *("--help", "models list", "models show v1", "models verify", "train runs", "train status"),
    *("train schedule show", "audit tail", "audit prune --older-than 0 --dry-run"),
    *("monitor history", "monitor latency", "monitor freshness", "monitor drift", "sizes"),
)


def main() -> None:
    """Print one row a command."""
    print("| command | CPU seconds |\n| --- | --- |")
    with tempfile.TemporaryDirectory() as name:
        make_platform(Path(name))
        environ = {**os.environ, "ARTIFACTS_DIR": str(Path(name) / "artifacts")}
        for command in COMMANDS:
            least = min(_cpu_seconds(command, name, environ) for _ in range(5))
            print(f"| {command} | {least:.2f} |")


def _cpu_seconds(command: str, folder: str, environ: dict[str, str]) -> float:
    child = subprocess.Popen(
        [sys.executable, "-m", "mlengine", *command.split()],
        cwd=folder,
        env=environ,
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
