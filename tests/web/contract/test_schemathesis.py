"""The running server keeps to its document, whatever it is asked and whoever asks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.named_keys import add_key
from tests.platforms import make_platform
from tests.serving import Server, serving

from mlengine.core.keys import SCOPES, write_key

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
PROGRAM = Path(sys.executable).with_name("schemathesis")
KEY = "a-test-key-of-thirty-two-letters"
KEYS = {
    "no key": (),
    "a wrong key": ("X-API-Key: guessed",),
    "an admin": (f"X-API-Key: {KEY}",),
    **{scope: (f"X-API-Key: {write_key(scope, 's' * 43)}",) for scope in SCOPES},
}
EXAMPLES = 100


def cases(
    server: Server,
    *options: str,
    folder: Path,
    prefix: str,
    headers: tuple[str, ...],
    examples: int,
) -> int:
    """How many requests were made from `folder`; no answer may be at odds with the document."""
    command = [
        *(str(PROGRAM), "--config-file", str(CONFIGURATION)),
        *("run", f"http://127.0.0.1:{server.port}{prefix}/openapi.json"),
        *("--url", f"http://127.0.0.1:{server.port}{prefix}"),
        *(f"--header={header}" for header in headers),
        *("--seed", "1", "--max-examples", str(examples)),
        *("--continue-on-failure", "--no-color", *options),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    summary = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert summary, done.stdout[-2000:]
    return int(summary[1])


def start(folder: Path, **environ: str) -> dict[str, str]:
    make_platform(folder, models=2)
    for scope in SCOPES:
        add_key(folder / "keys.json", scope, scope)
    return {
        "ADMIN_API_KEY": KEY,
        "API_KEYS_FILE": str(folder / "keys.json"),
        "FAILED_KEYS_PER_MINUTE": "0",
        "PUBLIC_ACTIVATION": "true",
        **environ,
    }


def test_the_server_answers_every_edge_of_its_document_as_it_says(tmp_path: Path) -> None:
    with serving(tmp_path, ready="/ready", **start(tmp_path, WEB_WORKERS="1")) as server:
        made = cases(
            server,
            "--phases=coverage",
            folder=tmp_path,
            prefix="/api/v1",
            headers=KEYS["an admin"],
            examples=1,
        )
    assert made > 500


@pytest.mark.soak
@pytest.mark.parametrize("prefix", ["", "/api/v1"])
@pytest.mark.parametrize("key", KEYS)
def test_the_server_keeps_to_its_document_in_thousands_of_requests(
    tmp_path: Path, key: str, prefix: str
) -> None:
    with serving(tmp_path, ready="/ready", **start(tmp_path)) as server:
        made = cases(server, folder=tmp_path, prefix=prefix, headers=KEYS[key], examples=EXAMPLES)
    sys.stdout.write(f"{made} requests at {prefix}/ with {key}: none at odds with the document\n")
    assert made > 2000
