"""The `.env` file, which only the entry files load."""

import os
from pathlib import Path

from dotenv import dotenv_values

from mlengine.config.env_writer import write_env_file_if_missing
from mlengine.config.settings import Settings, load_from_environment
from mlengine.errors import CannotStart


def load_with_env_file(folder: Path) -> Settings:
    """The settings of this process, also from `folder/.env`."""
    load_env_file(folder)
    return load_from_environment()


def write_env_file_and_report(folder: Path) -> str | None:
    """Write a first `.env` for a platform that has no admin key yet; returns what to report."""
    if {"ADMIN_API_KEY", "FLASK_SKIP_DOTENV"} & os.environ.keys():
        return None
    try:
        written = write_env_file_if_missing(folder)
    except OSError as error:
        reason = f"{folder / '.env'} can't be written ({error.strerror})"
        return f"{reason}: the admin routes need an ADMIN_API_KEY"
    if not written:
        return None
    return "wrote .env with a random ADMIN_API_KEY; edit it to configure the platform"


def load_env_file(folder: Path) -> None:
    """Add `folder/.env` to the environment; what stands there already wins."""
    for name, value in read_env_file(folder).items():
        os.environ.setdefault(name, value)


def read_env_file(folder: Path) -> dict[str, str]:
    """The variables of `folder/.env`, as they stand, as docker takes them.

    None without that file, or when FLASK_SKIP_DOTENV is set (tests). Raises CannotStart when the
    file can't be read.
    """
    if os.environ.get("FLASK_SKIP_DOTENV"):
        return {}
    path = folder / ".env"
    try:
        values = dotenv_values(path, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise CannotStart(f"{path} can't be read as text by this user") from error
    return {name: value for name, value in values.items() if value is not None}
