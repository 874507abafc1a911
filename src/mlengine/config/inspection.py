"""What is configured and where it comes from, also where a value is refused."""

import os
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from mlengine.config.env_file import read_env_file
from mlengine.config.env_reader import EnvReader
from mlengine.config.redaction import redact
from mlengine.config.settings import Settings
from mlengine.errors import BadSetting, CannotStart, MlengineError

# Of difflib: RATE_LIMIT_REQUEST is as near to RATE_LIMIT_REQUESTS as 0.97.
_RESEMBLANCE = 0.85


@dataclass(frozen=True)
class SettingValue:
    """One variable, its secrets redacted; `source` is `default`, `.env` or `environment`."""

    name: str
    value: str
    source: str


@dataclass(frozen=True)
class SettingsInspection:
    """`settings` have the default in place of each value that is refused in `problems`."""

    settings: Settings
    values: tuple[SettingValue, ...]
    problems: tuple[MlengineError, ...]
    unknown: tuple[str, ...]


def inspect_settings(folder: Path) -> SettingsInspection:
    """The settings of a process that would start in `folder`; raises nothing for bad ones.

    `unknown` are variables of its `.env` that are no settings.
    """
    problems: list[MlengineError] = []
    try:
        file = read_env_file(folder)
    except CannotStart as unreadable:
        file = {}
        problems.append(unreadable)
    environ = {**file, **os.environ}
    accepted = dict(environ)
    while True:
        reader = EnvReader(accepted)
        try:
            settings = Settings.read(reader)
            break
        except BadSetting as refusal:
            problems.append(refusal)
            del accepted[refusal.variable]
    try:
        settings.refuse_sample_in_production()
    except BadSetting as refusal:
        problems.append(refusal)
    values = []
    for name, default in reader.texts.items():
        chosen = environ.get(name, "").strip()
        source = "environment" if environ.get(name) != file.get(name) else ".env"
        text = _printable(name, chosen, settings) if chosen else redact(default)
        values.append(SettingValue(name, text, source if chosen else "default"))
    unknown = tuple(name for name in file if name not in reader.texts)
    return SettingsInspection(settings, tuple(values), tuple(problems), unknown)


def misspelt() -> dict[str, str]:
    """Variables of this process that are nearly settings, each with the one that it resembles.

    Raises BadSetting.
    """
    reader = EnvReader(os.environ)
    Settings.read(reader)
    nearest = {
        name: get_close_matches(name, reader.texts, 1, _RESEMBLANCE)
        for name in os.environ.keys() - reader.texts.keys()
    }
    return {name: names[0] for name, names in sorted(nearest.items()) if names}


def _printable(name: str, text: str, settings: Settings) -> str:
    if name == "ADMIN_API_KEY":
        return ",".join(f"{holder}:…" for holder in settings.admin_api_keys) or "…"
    if name == "MARKET_DATA_API_KEY":
        return "…"
    if name == "MARKET_DATA_BASE_URL":
        text = re.sub(r"[?#].*", "?…", text)
    return redact(text)


def redis_url_suffix(settings: Settings) -> str:
    """Which setting names the queue server, and its address; for the end of a line."""
    return f" (REDIS_URL={redact(settings.redis_url)})" if settings.redis_url else ""
