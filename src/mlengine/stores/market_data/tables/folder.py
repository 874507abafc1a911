"""Which files of a folder may be tables of bars, and whether one has changed."""

import os
from pathlib import Path

FileStamp = tuple[int, int, int]

_SUFFIXES = (".parquet", ".csv")
# Files beside the bars that have a meaning of their own.
_OTHER_NAMES = frozenset({"symbols.csv", "actions.csv"})
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
            if _may_be_table(entry.name) and entry.is_file():
                stats[entry.name] = entry.stat()
    return {
        name: (stats[name].st_ino, stats[name].st_size, stats[name].st_mtime_ns)
        for name in sorted(stats)
    }


def _may_be_table(name: str) -> bool:
    lower = name.lower()
    return (
        lower.endswith(_SUFFIXES)
        and lower not in _OTHER_NAMES
        and not lower.startswith(_OTHER_PREFIXES)
    )
