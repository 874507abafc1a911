"""Files that a hand, a disk or another program may have changed, read so that they can do no harm.

A pipe is not waited for, a device is not read to its end, and what is too large is not read at all.
"""

import errno
import os
import stat
from pathlib import Path

import orjson

_MOST_JSON_BYTES = 1_000_000


class DamagedFile(ValueError):
    """The file is there and is not what was written."""


def read_bytes(path: Path, *, most_bytes: int) -> bytes:
    """The whole file; raises DamagedFile where it is no ordinary file or too large, and OSError."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise DamagedFile("it is not an ordinary file") from None
        raise
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise DamagedFile("it is not an ordinary file")
        if status.st_size > most_bytes:
            raise DamagedFile(f"it has more than {most_bytes:,} bytes")
        with open(handle, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)


def read_json_object(path: Path, *, most_bytes: int = _MOST_JSON_BYTES) -> dict[str, object]:
    """The one object of a file of JSON; raises as `read_bytes`."""
    return parse_json_object(read_bytes(path, most_bytes=most_bytes))


def parse_json_object(content: bytes) -> dict[str, object]:
    """The object that `content` is as JSON; raises DamagedFile on anything else."""
    try:
        value = orjson.loads(content)
    except ValueError:
        raise DamagedFile("it is not JSON") from None
    if not isinstance(value, dict):
        raise DamagedFile("it is not a JSON object")
    return value
