"""Who may: keys, what needs one, and how often one may be wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
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

    admin_keys: Mapping[str, str]
    api_keys_file: Path | None
    require_key_everywhere: bool
    failed_keys_per_minute: int
    activation_approvals: bool


def access_settings(read: EnvReader, env: str) -> AccessSettings:
    """Raises BadSetting, also where a key is required and there is none."""
    admin_keys = _admin_keys(read, env)
    file = read.path("API_KEYS_FILE")
    required = read.choice("REQUIRE_KEY", "admin", ("admin", "all"))
    if required == "all" and not admin_keys and file is None:
        raise BadSetting("REQUIRE_KEY", required, "a key in ADMIN_API_KEY or API_KEYS_FILE")
    return AccessSettings(
        admin_keys=admin_keys,
        api_keys_file=file,
        require_key_everywhere=required == "all",
        failed_keys_per_minute=read.integer("FAILED_KEYS_PER_MINUTE", 10, 0, 1_000_000),
        activation_approvals=read.boolean("ACTIVATION_APPROVALS", default=False),
    )


def _admin_keys(read: EnvReader, env: str) -> dict[str, str]:
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


def public_activation(read: EnvReader, env: str, host: str, keys: AccessSettings) -> bool:
    """Raises BadSetting where nobody could ask for what another confirms."""
    default = env == "development" and addresses.is_loopback(host) and not keys.activation_approvals
    is_public = read.boolean("PUBLIC_ACTIVATION", default)
    if is_public and keys.activation_approvals:
        raise BadSetting("PUBLIC_ACTIVATION", "true", "false where ACTIVATION_APPROVALS is on")
    return is_public
