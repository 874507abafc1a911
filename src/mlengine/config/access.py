"""Who may: keys, what needs one, and how often one may be wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from mlengine.config import addresses
from mlengine.config.env_reader import EnvReader
from mlengine.errors import BadSetting

_KEY_LENGTH = 32  # except in development
_KEYS = "one key, or name:key,name:key, names unique, no blanks in keys"
_KEY_NAME, _KEY = re.compile(r"^[A-Za-z0-9_-]{1,32}$"), re.compile(r"\S+")


@dataclass(frozen=True)
class AccessSettings:
    """See docs/configuration.md."""

    api_keys_file: Path | None


def access_settings(read: EnvReader) -> AccessSettings:
    """Raises BadSetting."""
    return AccessSettings(api_keys_file=read.path("API_KEYS_FILE"))


def admin_keys(read: EnvReader, env: str) -> dict[str, str]:
    """`key` or `name:key,name:key` as {name: key}; no error repeats the value."""
    keys: dict[str, str] = {}
    for part in read.comma_list("ADMIN_API_KEY"):
        name, colon, key = part.partition(":")
        name, key = (name, key) if colon else ("admin", name)
        if not _KEY_NAME.match(name) or not _KEY.fullmatch(key) or name in keys:
            raise BadSetting("ADMIN_API_KEY", "…", _KEYS)
        if env != "development" and len(key) < _KEY_LENGTH:
            raise BadSetting("ADMIN_API_KEY", "…", f"at least {_KEY_LENGTH} characters a key")
        keys[name] = key
    return keys


def public_activation(read: EnvReader, env: str, host: str) -> bool:
    default = env == "development" and addresses.is_loopback(host)
    return read.boolean("PUBLIC_ACTIVATION", default)
