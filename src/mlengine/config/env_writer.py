"""A first `.env` with a random ADMIN_API_KEY.

Standard library only and nothing of the package: `make docker-run` runs this file by its path.
"""

import os
import secrets
import sys
from pathlib import Path

_TEMPLATE = Path(__file__).with_name("env.example")


def write_env_file_if_missing(folder: Path) -> bool:
    """Write `folder/.env` unless it exists; False where it does. Raises OSError.

    Whole or not at all, and readable by its owner only.
    """
    target = folder / ".env"
    if target.exists():
        return False
    key = secrets.token_urlsafe(32)
    template = _TEMPLATE.read_text(encoding="utf-8")
    text = template.replace("\nADMIN_API_KEY=\n", f"\nADMIN_API_KEY={key}\n")
    staged = folder / f".env.{os.getpid()}"
    handle = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.link(staged, target)
    except FileExistsError:
        return False
    finally:
        staged.unlink()
    return True


if __name__ == "__main__":
    try:
        write_env_file_if_missing(Path())
    except OSError as failure:
        sys.exit(f".env can't be written: {failure.strerror}")
