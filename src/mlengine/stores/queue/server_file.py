"""`server.json`: where the embedded queue server listens, and what wrote its data."""

import re
from pathlib import Path
from urllib.parse import unquote

from mlengine.stores.system import strict_files

SERVER_FILE = "server.json"
_FIELDS = {
    name: re.compile(pattern, re.ASCII).fullmatch
    for name, pattern in {
        "url": r"unix:///[A-Za-z0-9_.~/%-]{1,400}",
        "kind": "[a-z]{1,20}",
        "version": r"[0-9]{1,9}(\.[0-9]{1,9}){0,5}",
    }.items()
}


def read_server_file(directory: Path) -> dict[str, str]:
    """What the server's supervisor wrote, without what it would not have written."""
    try:
        server = strict_files.read_json_object(directory / SERVER_FILE)
    except (OSError, ValueError):
        return {}
    texts = {name: str(value) for name, value in server.items()}
    return {name: texts[name] for name in _FIELDS.keys() & texts if _FIELDS[name](texts[name])}


def recorded_socket(directory: Path) -> Path | None:
    """Where the server that was started last listens."""
    url = read_server_file(directory).get("url")
    return Path(unquote(url.removeprefix("unix://"))) if url else None
