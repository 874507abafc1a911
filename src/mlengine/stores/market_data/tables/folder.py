"""Which files of a folder may be tables of bars, and whether one has changed."""

import os
import time
from contextlib import suppress
from pathlib import Path

# Inode, size, and when it was modified, in nanoseconds.
FileStamp = tuple[int, int, int]
# Whoever writes a file anew in its place has done so after that time.
_SETTLED_SECONDS = 2.0

_TEXTS = (".csv", ".txt", ".tsv")
_SUFFIXES = (
    *(text + packed for text in _TEXTS for packed in (".gz", ".zst", "")),
    *(".parquet", ".arrow", ".feather", ".ipc"),
)
# A file beside the bars that has a meaning of its own.
_OTHER_NAMES = frozenset({"actions.csv"})
# Hidden files, and the lock files of office programs.
_OTHER_PREFIXES = (".", "~")


def table_files(folder: Path) -> dict[str, FileStamp]:
    """By name, the files that may be tables, with inode, size and time of change.

    A file that is being written under a name of its own (`.tmp`, `.part`, `~`) has another suffix.
    Raises OSError.
    """
    stats: dict[str, os.stat_result] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            # A file may go while the folder is listed.
            with suppress(FileNotFoundError):
                if _may_be_table(entry.name) and entry.is_file():
                    stats[entry.name] = entry.stat()
    return {
        name: (stats[name].st_ino, stats[name].st_size, stats[name].st_mtime_ns)
        for name in sorted(stats)
    }


def is_unsettled(stamp: FileStamp) -> bool:
    """Whether the file was modified just now."""
    return 0 <= time.time() - stamp[2] / 1e9 < _SETTLED_SECONDS


def is_shorter(stamp: FileStamp, before: FileStamp) -> bool:
    """Whether it is the same file, cut short."""
    return stamp[0] == before[0] and stamp[1] < before[1]


def table_suffix(name: str) -> str:
    """`.csv.gz` of `AAPL.csv.gz`; nothing where the name is that of no table."""
    lower = name.lower()
    return next((suffix for suffix in _SUFFIXES if lower.endswith(suffix)), "")


def _may_be_table(name: str) -> bool:
    lower = name.lower()
    is_other = lower in _OTHER_NAMES or lower.startswith(_OTHER_PREFIXES)
    return bool(table_suffix(name)) and not is_other
