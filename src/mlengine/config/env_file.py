"""The `.env` file, which only the entry files load."""

from __future__ import annotations

from pathlib import Path

from dotenv import load_dotenv

from mlengine.config import environment_for_child
from mlengine.errors import CannotStart


def load_env_file(folder: Path) -> None:
    """Add `folder/.env` to the environment; what stands there already wins.

    Does nothing without that file, or when FLASK_SKIP_DOTENV is set (tests). Values are taken as
    they stand, as docker takes them. Raises CannotStart when the file can't be read.
    """
    if environment_for_child({}).get("FLASK_SKIP_DOTENV"):
        return
    path = folder / ".env"
    try:
        load_dotenv(path, override=False, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise CannotStart(f"{path} can't be read as text by this user") from error
