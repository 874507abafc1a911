"""The file of actions: splits, dividends and changes of symbols, beside the files of bars."""

import csv
import io
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mlengine.core.actions.actions import StatedAction
from mlengine.errors import MlengineError, UpstreamInvalid
from mlengine.stores.market_data.actions.reported_actions import (
    BadField,
    StatedActions,
    parse_action,
)
from mlengine.stores.market_data.tables.folder import FileStamp

ACTIONS_FILE = "actions.csv"
_NEEDED = ("symbol", "date", "kind", "value")
_MOST_LISTED = 10


class ForeignTable(UpstreamInvalid):
    """By its header the file is about something else."""


@dataclass(frozen=True)
class ActionsTable:
    """The actions of each symbol, why those of some symbols can't be used, and all bad lines."""

    actions: Mapping[str, tuple[StatedAction, ...]] = field(default_factory=dict)
    refused: Mapping[str, UpstreamInvalid] = field(default_factory=dict)
    faults: Sequence[UpstreamInvalid] = ()


class ActionsFile:
    """The file of actions in a folder, if there is one, read again when it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._read: tuple[FileStamp | None, ActionsTable | UpstreamInvalid] = (None, ActionsTable())

    def stamp(self) -> FileStamp | None:
        """Another one for each content; zeros where it can't be read, None where there is none."""
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError:
            return 0, 0, 0
        return stat.st_ino, stat.st_size, stat.st_mtime_ns

    def of(self, symbols: Sequence[str]) -> dict[str, Sequence[StatedAction] | MlengineError]:
        """The actions of each symbol, or why they can't be used."""
        try:
            table = self._table()
        except MlengineError as error:
            return dict.fromkeys(symbols, error)
        return {
            symbol: table.refused.get(symbol) or table.actions.get(symbol, ()) for symbol in symbols
        }

    def faults(self) -> list[str]:
        """Why the file, or which of its lines, can't be used; the first ten."""
        try:
            faults = self._table().faults
        except ForeignTable:
            return []
        except UpstreamInvalid as error:
            return [error.reason]
        reasons = [fault.reason for fault in faults[:_MOST_LISTED]]
        further = len(faults) - len(reasons)
        return [*reasons, f"{further} further lines"] if further else reasons

    def _table(self) -> ActionsTable:
        with self._lock:
            stamp, (read_stamp, table) = self.stamp(), self._read
            if stamp != read_stamp:
                try:
                    table = read_actions(self._path) if stamp else ActionsTable()
                except UpstreamInvalid as error:
                    table = error
                self._read = stamp, table
            if isinstance(table, UpstreamInvalid):
                raise table
            return table


def read_actions(path: Path) -> ActionsTable:
    """A CSV file with the columns `symbol, date, kind, value[, announced, new_symbol]`.

    A line that can't be read costs its symbol alone, and all of them where it names none. Raises
    UpstreamInvalid, also where the file can't be read.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UpstreamInvalid(f"{path.name} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UpstreamInvalid(f"{path.name} is no text in UTF-8") from None
    try:
        return parse_actions(text, name=path.name)
    except csv.Error as error:
        raise UpstreamInvalid(f"{path.name} is no CSV file: {error}") from None


def parse_actions(text: str, *, name: str) -> ActionsTable:
    """As `read_actions`, for what was read already; `name` is for the errors."""
    lines = csv.reader(io.StringIO(text, newline=""))
    header = [column.strip().casefold() for column in next(lines, [])]
    for column in _NEEDED:
        if column not in header:
            raise ForeignTable(f"{name}, line 1: there is no column {column!r}")
    stated = defaultdict[str, StatedActions](StatedActions)
    refused: dict[str, UpstreamInvalid] = {}
    faults: list[UpstreamInvalid] = []
    for cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        fields = dict(zip(header, cells, strict=False))
        try:
            _refuse_further(cells[len(header) :], header)
            action = parse_action(fields)
            stated[action.symbol].add(action)
        except BadField as bad:
            error = UpstreamInvalid(f"{name}, line {lines.line_num}, {bad}")
            concerned = {fields.get(each, "").strip() for each in ("symbol", "new_symbol")} - {""}
            if not concerned:
                raise error from None
            faults.append(error)
            for symbol in concerned:
                refused.setdefault(symbol, error)
    actions = {symbol: each.all() for symbol, each in stated.items()}
    return ActionsTable(actions, refused, faults)


def _refuse_further(cells: Sequence[str], header: Sequence[str]) -> None:
    """Raises BadField for a cell beyond the header."""
    if further := "".join(cells).strip():
        raise BadField(header[-1], further, "no further cell")
