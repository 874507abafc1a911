"""Which files of a folder may be tables of bars, and whether one has changed."""

import os
import stat
import time
from collections.abc import Sequence
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
# Tables of other kinds, which nobody reads: to pass over them in silence would lose symbols.
_PACKED_SUFFIXES = (
    *(text + packed for text in _TEXTS for packed in (".xz", ".bz2", ".zip", ".7z", ".z", ".lz4")),
    *(".zip", ".rar", ".7z", ".tar", ".tar.gz", ".tgz", ".parquet.gz", ".parquet.zst"),
    *(".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"),
)
_OTHER_SUFFIXES = (
    *(".jsonl", ".ndjson", ".pkl", ".pickle", ".h5", ".hdf5", ".hdf", ".orc", ".avro"),
    *(".parq", ".pq", ".dta", ".rds", ".sas7bdat"),
)
_ALL_SUFFIXES = (*_SUFFIXES, *_PACKED_SUFFIXES, *_OTHER_SUFFIXES)
# A file beside the bars that has a meaning of its own.
_OTHER_NAMES = frozenset({"actions.csv"})
# What a folder of folders may have beside them.
_LISTS = frozenset({"symbols.csv"})
# Hidden files, and the lock files of office programs.
_OTHER_PREFIXES = (".", "~")


def table_files(folder: Path) -> dict[str, FileStamp]:
    """By name, what may be a table by its name, with inode, size and time of change.

    A file that is being written under a name of its own (`.tmp`, `.part`, `~`) has another suffix.
    Of a link that leads nowhere they are the link's own. Folders that hold parts of a table
    (`symbol=AAPL`) are listed too, and where there is no table all of them. Raises OSError.
    """
    stats: dict[str, os.stat_result] = {}
    folders: list[os.DirEntry[str]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            # A file may go while the folder is listed.
            with suppress(FileNotFoundError):
                if _may_be_table(entry.name):
                    stats[entry.name] = _stat(entry)
                elif entry.is_dir() and not entry.name.startswith(_OTHER_PREFIXES):
                    folders.append(entry)
    if folders:
        has_tables = not stats.keys() <= _LISTS
        for entry in folders:
            if "=" in entry.name or not has_tables:
                stats[entry.name] = _stat(entry)
    return {
        name: (stats[name].st_ino, stats[name].st_size, stats[name].st_mtime_ns)
        for name in sorted(stats)
    }


def unreadable_kind(path: Path) -> str | None:
    """What keeps something with the name of a table from being read; None of a file of a kind."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return "is a link that leads nowhere" if path.is_symlink() else _words_of(error)
    if stat.S_ISDIR(mode):
        return "is a folder; only files are read, and those of one folder"
    if not stat.S_ISREG(mode):
        return "is no ordinary file"
    if _ending(path.name, _PACKED_SUFFIXES):
        return "is packed or a workbook; unpack it, or save it as CSV"
    if suffix := _ending(path.name, _OTHER_SUFFIXES):
        return f"is a {suffix} file, which is not read; save it as .csv or .parquet"
    return None if os.access(path, os.R_OK) else "can't be read: it is not allowed"


def is_unsettled(stamp: FileStamp) -> bool:
    """Whether the file was modified just now."""
    return 0 <= time.time() - stamp[2] / 1e9 < _SETTLED_SECONDS


def is_shorter(stamp: FileStamp, before: FileStamp) -> bool:
    """Whether it is the same file, cut short."""
    return stamp[0] == before[0] and stamp[1] < before[1]


def table_suffix(name: str) -> str:
    """`.csv.gz` of `AAPL.csv.gz`; nothing where the name is that of no table."""
    return _ending(name, _ALL_SUFFIXES)


def _ending(name: str, suffixes: Sequence[str]) -> str:
    lower = name.lower()
    return next((suffix for suffix in suffixes if lower.endswith(suffix)), "")


def _stat(entry: os.DirEntry[str]) -> os.stat_result:
    """Of the file, or of the link where that leads nowhere."""
    try:
        return entry.stat()
    except OSError:
        return entry.stat(follow_symlinks=False)


def _words_of(error: OSError) -> str:
    return f"can't be read: {(error.strerror or 'it is gone').lower()}"


def _may_be_table(name: str) -> bool:
    lower = name.lower()
    is_other = lower in _OTHER_NAMES or lower.startswith(_OTHER_PREFIXES)
    return bool(table_suffix(name)) and not is_other
