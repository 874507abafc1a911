"""Files that are whole or absent after a crash: written aside, fsynced, renamed."""

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from mlengine.errors import ArtifactsUnavailable

PRIVATE, PUBLIC = 0o600, 0o644
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file may not grow that large",
    errno.EIO: "the disk gives errors",
    errno.EROFS: "it is read-only",
    errno.ENOENT: "its folder is not there",
    errno.ENOTDIR: "its folder is not there",
    errno.EISDIR: "it is a folder",
    errno.EACCES: "this user may not write there",
    errno.EPERM: "this user may not write there",
    errno.EMFILE: "too many files are open",
    errno.ENFILE: "too many files are open",
}


def make_directory(path: Path) -> None:
    """Make a folder and those above it, each name forced to disk; one that is there is fine.

    A folder whose name can't be forced to disk is taken back, so that the next call tries again.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.is_dir()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
        try:
            fsync_directory(folder.parent)
        except OSError:
            with contextlib.suppress(OSError):  # another process has put something in it
                folder.rmdir()
            raise


def force_names(path: Path, *, folders: int) -> None:
    """Force to disk the name of a folder, and of those above it, in that many folders.

    For a folder that is there already: whoever made it may have been killed before its name was
    forced.
    """
    for parent in path.parents[:folders]:
        fsync_directory(parent)


def create_file(path: Path, content: bytes, *, mode: int = PRIVATE) -> None:
    """Write `content` to a new file of `mode` and force it to disk; raises FileExistsError."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, content: bytes, *, mode: int = PRIVATE) -> None:
    """Put `content` at `path` in one step: a reader sees the old file or the new one."""
    with atomic_replacement(path) as aside:
        create_file(aside, content, mode=mode)
    fsync_directory(path.parent)


@contextlib.contextmanager
def atomic_replacement(path: Path) -> Iterator[Path]:
    """Where to write the file that takes the place of `path` at the end of the block.

    It is removed when the block fails.
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        yield aside
        aside.replace(path)
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)


def fsync_directory(path: Path) -> None:
    """Force the names in a folder to disk."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def file_lock(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock file `path`; the kernel lets go of it when this process dies.

    Without `wait` it is False where another process holds it.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    try:
        locked = True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            locked = False
        yield locked
    finally:
        os.close(handle)


@contextlib.contextmanager
def translated_os_errors() -> Iterator[None]:
    """What the file system refuses becomes ArtifactsUnavailable, with a reason in words."""
    try:
        yield
    except OSError as error:
        raise ArtifactsUnavailable(describe_error(error)) from error


def describe_error(error: Exception) -> str:
    """What a failed call on a file means, in words that quote no path."""
    unnumbered = errno.ENOENT if isinstance(error, FileNotFoundError) else 0  # those of Polars
    number = getattr(error, "errno", None) or unnumbered
    return _REASONS.get(number, "the file system refuses it")
