"""The compose profile `ha`, by its own commands: what it names works together."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.postgres import what_is_missing
from tests.processes.compose_profile import ROOT

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(what_is_missing() is not None, reason=str(what_is_missing())),
    pytest.mark.skipif(
        os.geteuid() != 0, reason="only root gives processes addresses of their own"
    ),
]
HOSTS = ["postgres", "migrate-ha", "valkey", "s3", "bucket", "web-1", "web-2"]
WORKERS = ["worker-ha"] * 3


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that the user of PostgreSQL may enter."""
    path = Path(tempfile.mkdtemp(prefix="mlcompose-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def test_two_hosts_and_three_workers_share_what_the_profile_names(folder: Path) -> None:
    """As processes, with the addresses, variables, commands and checks of the file.

    What stands in for the entrypoint of PostgreSQL's image is here; the proxy takes part where
    nginx is installed.
    """
    done = subprocess.run(
        [
            *("unshare", "--net", "--mount", "--kill-child", "--"),
            *(sys.executable, "-m", "tests.processes.compose_profile", str(folder)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        told |= json.loads(line)
    proxy = ["proxy"] if shutil.which("nginx") else []
    assert sorted(told["services"]) == sorted([*HOSTS, *WORKERS, *proxy, "bucket"])
    bodies = [body for status, body in told["predicted"] if status == 200]
    assert [body["model_version"] for body in bodies] == ["v1", "v1"]
    assert len({(body["model_fingerprint"], body["probability_up"]) for body in bodies}) == 1
    audited = [
        {each["prediction_id"] for each in body["predictions"]} for _, body in told["audited"]
    ]
    assert audited == [{body["prediction_id"] for body in bodies}] * 2
    for _, health in told["health"]:
        checks = health["checks"]
        assert (checks["redis"], checks["workers"], checks["registry"]) == ("ok", "ok", "ok")
    if proxy:
        assert told["proxied"] == 404, "each host counts for itself"
        assert [status for status, _ in told["left"]] == [200] * 10
