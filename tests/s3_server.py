"""A real S3 server on loopback, SeaweedFS: it honours conditional writes."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from tests.patience import eventually

PROGRAM = Path(sys.executable).with_name("weed")
_KEY, _SECRET = "a-key", "a-secret"


@dataclass(frozen=True)
class S3Server:
    port: int
    filer_port: int
    process: subprocess.Popen[bytes]

    @property
    def environ(self) -> dict[str, str]:
        """How clients find it, and who they are."""
        return {
            "AWS_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _SECRET,
        }

    def new_prefix(self) -> str:
        """The address of an empty folder of the one bucket."""
        return f"s3://models/{token_hex(6)}"

    def make_bucket(self) -> None:
        url = f"http://127.0.0.1:{self.filer_port}/buckets/models/"
        request = urllib.request.Request(url, method="POST")
        urllib.request.urlopen(request).read()

    def answers(self) -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/status").read()
        except OSError:
            return False
        return True


def _free_ports(count: int) -> list[int]:
    """Each with the one 10,000 above it, where its server speaks to the others."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(10_000, 22_000)  # noqa: S311 - below those of outgoing connections
        if port not in found and _is_free(port) and _is_free(port + 10_000):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@contextmanager
def s3_server() -> Iterator[S3Server]:
    with tempfile.TemporaryDirectory(prefix="mls3-") as name:
        folder = Path(name)
        (folder / "data").mkdir()
        identity = {
            "name": "tests",
            "credentials": [{"accessKey": _KEY, "secretKey": _SECRET}],
            "actions": ["Admin", "Read", "Write", "List"],
        }
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        s3, filer, master, volume = _free_ports(4)
        process = subprocess.Popen(
            [
                *(str(PROGRAM), "server", "-dir=data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
                *(
                    "-s3",
                    "-s3.config=s3.json",
                    "-s3.port.iceberg=0",
                    "-s3.port.lance=0",
                    "-volume.max=20",
                    "-master.volumeSizeLimitMB=64",
                ),
                *(f"-s3.port={s3}", f"-filer.port={filer}", f"-master.port={master}"),
                f"-volume.port={volume}",
            ],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        server = S3Server(s3, filer, process)
        try:
            assert eventually(server.answers, seconds=60)
            server.make_bucket()
            yield server
        finally:
            process.kill()
            process.wait()
