"""The queue server's append-only files, mended so that it starts: queued runs have their rows.

A server refuses files that end in anything but a command cut short, such as the zeros that a power
failure leaves.
"""

import logging
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

FOLDER = "appendonlydir"
_SET_ASIDE = f"{FOLDER}.damaged"
_ARGUMENTS = re.compile(rb"\*([0-9]{1,7})\r\n")
_ARGUMENT = re.compile(rb"\$([0-9]{1,10})\r\n")
_NOTE = re.compile(rb"#[^\r\n]*\r\n")


def has_strange_files(directory: Path) -> bool:
    """Whether what the server would open is no file: it would wait for a pipe for ever."""
    folder = directory / FOLDER
    if not folder.exists() and not folder.is_symlink():
        return False
    if folder.is_symlink() or not folder.is_dir():
        return True
    return any(path.is_symlink() or not path.is_file() for path in folder.iterdir())


def cut_damaged_tails(directory: Path) -> bool:
    """Cut each file of commands after its last whole one; returns whether any was cut."""
    was_cut = False
    for path in (directory / FOLDER).glob("*.incr.aof"):
        with suppress(OSError):  # then all of them are set aside
            content = path.read_bytes()
            end = whole_commands(content)
            if end < len(content):
                os.truncate(path, end)
                facts = {"file": path.name, "bytes": len(content) - end}
                log.warning("damaged end of the queue's file cut", extra=facts)
                was_cut = True
    return was_cut


def set_aside(directory: Path) -> None:
    """Let the server begin anew; only the newest damaged folder is kept."""
    aside = directory / _SET_ASIDE
    if aside.is_dir() and not aside.is_symlink():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        aside.unlink(missing_ok=True)
    (directory / FOLDER).rename(aside)
    log.warning("damaged files of the queue set aside", extra={"folder": str(aside)})


def whole_commands(content: bytes) -> int:
    """Where the last command ends that is whole, with all of its transaction."""
    end = position = 0
    in_transaction = False
    while position < len(content):
        command, position = _command(content, position)
        if position < 0:
            break
        in_transaction = command == b"MULTI" or (in_transaction and command != b"EXEC")
        if not in_transaction:
            end = position
    return end


def _command(content: bytes, position: int) -> tuple[bytes, int]:
    """The name of the command at `position` and where it ends, which is -1 where there is none."""
    if note := _NOTE.match(content, position):
        return b"", note.end()
    header = _ARGUMENTS.match(content, position)
    if not header or not int(header[1]):
        return b"", -1
    name, position = b"", header.end()
    for number in range(int(header[1])):
        length = _ARGUMENT.match(content, position)
        if not length:
            return b"", -1
        start, position = length.end(), length.end() + int(length[1])
        if content[position : position + 2] != b"\r\n":
            return b"", -1
        if number == 0:
            name = content[start:position].upper()
        position += 2
    return name, position
