"""A universe file: which symbols belonged to it from when to when."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from mlengine.errors import TrainingFailed
from mlengine.stores.system.table_files import UnreadableFile, translated_read_errors

_COLUMNS = ("symbol", "from", "to")
_SETTING = "TRAIN_UNIVERSE_FILE"


@dataclass(frozen=True, eq=False)
class Universe:
    """`members`: symbol, and the dates `from` and `to`, both included; a null `to` is open."""

    content: bytes
    members: pl.DataFrame

    def with_symbols(self, symbol_of: Callable[[str], str]) -> Universe:
        """With the symbol of each name, in the content too, which stands beside a version."""
        names = self.members["symbol"].unique().to_list()
        symbols = {name: symbol for name in names if (symbol := symbol_of(name)) != name}
        if not symbols:
            return self
        members = self.members.with_columns(pl.col("symbol").replace(symbols))
        return Universe(members.select(_COLUMNS).write_csv().encode(), members)

    def members_on(self, day: date) -> frozenset[str]:
        """The symbols that belong to it on that date."""
        begun, open_ended = pl.col("from") <= day, pl.col("to").is_null()
        return frozenset(self.members.filter(begun, open_ended | (pl.col("to") >= day))["symbol"])

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def read_universe(path: Path) -> Universe:
    """A CSV file with the columns symbol, from, to (YYYY-MM-DD, blank `to`: still a member).

    Raises TrainingFailed, which names the line.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TrainingFailed(f"{_SETTING}: {path.name}: {error.strerror}") from error
    return parse_universe(content, name=path.name)


def parse_universe(content: bytes, *, name: str) -> Universe:
    """As `read_universe`, for what was read already; `name` is for the error."""
    try:
        with translated_read_errors(name):
            table = pl.read_csv(io.BytesIO(content), infer_schema=False)
    except UnreadableFile:
        raise TrainingFailed(f"{_SETTING}: {name} is no CSV table") from None
    if not set(_COLUMNS) <= set(table.columns):
        raise TrainingFailed(f"{_SETTING}: {name} needs the columns {', '.join(_COLUMNS)}")
    text = table.select(pl.col(_COLUMNS).str.strip_chars().replace("", None))
    members = text.with_columns(pl.col("from", "to").str.to_date("%Y-%m-%d", strict=False))
    _refuse_bad_lines(text, members, name)
    return Universe(content, members)


def _refuse_bad_lines(text: pl.DataFrame, members: pl.DataFrame, name: str) -> None:
    if members.is_empty():
        raise TrainingFailed(f"{_SETTING}: {name} has no members")
    start, end = members["from"], members["to"]
    unparsed = text["to"].is_not_null() & end.is_null()
    bad = members["symbol"].is_null() | start.is_null() | unparsed | (end < start).fill_null(False)
    if bad.any():
        line = int(bad.arg_true()[0]) + 2  # the first line holds the names
        expected = "symbol, from and to as YYYY-MM-DD, from not after to"
        raise TrainingFailed(f"{_SETTING}: {name}, line {line}: expected {expected}")
