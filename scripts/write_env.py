"""Write .env from .env.example with a random ADMIN_API_KEY, where there is none yet."""

import os
import secrets
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(root: Path) -> None:
    target = root / ".env"
    if target.exists():
        return
    try:
        write(target, filled((root / ".env.example").read_text(encoding="utf-8")))
    except FileExistsError:
        return
    except OSError as error:
        sys.exit(f"{target} can't be written: {error.strerror}")
    print("wrote .env with a random ADMIN_API_KEY; edit it to configure the platform", flush=True)


def filled(example: str) -> str:
    key = secrets.token_urlsafe(32)
    lines = [f"{line}{key}" if line == "ADMIN_API_KEY=" else line for line in example.split("\n")]
    return "\n".join(lines)


def write(target: Path, text: str) -> None:
    """Whole or not at all, and readable by its owner only."""
    staged = target.with_name(f".env.{os.getpid()}")
    handle = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.link(staged, target)
    finally:
        staged.unlink()


if __name__ == "__main__":
    main(ROOT)
