"""The `files` upstream: a directory of tables of bars, written by somebody else.

A file holds one symbol and is named for it (`AAPL.parquet`, `AAPL.csv.gz`), or has a column
`symbol` (or `ticker`) and holds any number. A path is never built from a symbol: symbols are looked
up in what the directory holds. A file that changes is read again; of one that has only grown, what
was appended. One that can't be used costs only the symbols that it is about, or none where another
file has them.
"""

import logging
import threading
from collections.abc import Hashable, Mapping, Sequence, Set
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from mlengine.core.actions.actions import StatedAction
from mlengine.core.actions.kinds import SYMBOL_CHANGE
from mlengine.core.bars.bars import RAW_SCHEMA
from mlengine.core.calendars.market import NO_MARKETS, MarketDirectory
from mlengine.errors import MlengineError, UnknownSymbol, UpstreamInvalid, UpstreamUnavailable
from mlengine.stores.market_data import CandlePanel, MarketData
from mlengine.stores.market_data.actions.file import ACTIONS_FILE, ActionsFile
from mlengine.stores.market_data.candles import between
from mlengine.stores.market_data.deadline import Deadline
from mlengine.stores.market_data.tables.folder import table_files
from mlengine.stores.market_data.tables.folder_file import FolderFile, look_at
from mlengine.stores.market_data.tables.settings import (
    SETTINGS_FILE,
    FolderSettings,
    TableSettings,
    read_settings,
)

log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 0.1


class FilesMarketData(MarketData):
    """Reads each file once, at the first request for a symbol that it may hold.

    `adjusted` takes the adjusted prices of files that have both; `bars.toml` in the directory can
    say otherwise, and all else of how its files are written. `markets` has the timezone of times
    that state none.
    """

    kind = "files"

    def __init__(
        self,
        directory: Path,
        *,
        markets: MarketDirectory = NO_MARKETS,
        adjusted: bool = False,
        most_bytes: int = TableSettings.most_bytes,
    ) -> None:
        self._directory = directory
        self._markets = markets
        self._base = TableSettings(adjusted=adjusted, most_bytes=most_bytes)
        self._lock = threading.Lock()
        self._files: dict[str, FolderFile] = {}
        self._actions = ActionsFile(directory / ACTIONS_FILE)
        self._settings: tuple[object, FolderSettings | UpstreamInvalid] = (
            None,
            FolderSettings(self._base),
        )

    def candles(
        self,
        symbol: str,
        interval: str,
        *,
        start: datetime,
        end: datetime,
        deadline: Deadline | None = None,  # noqa: ARG002 - what is in memory needs no time
    ) -> pl.DataFrame:
        """The candles of `symbol` from every file that holds it; see MarketData."""
        panel = self.panel([symbol], interval, start=start, end=end)
        if symbol in panel.refused:
            raise panel.refused[symbol]
        return panel.candles

    def panel(
        self, symbols: Sequence[str], interval: str, *, start: datetime, end: datetime
    ) -> CandlePanel:
        """The candles of all symbols from one look at the directory; see MarketData."""
        wanted = set(symbols)
        try:
            with self._lock:
                files = self._load(wanted)
        except OSError:
            error = UpstreamUnavailable("the directory of market data can't be read")
            return CandlePanel(pl.DataFrame(schema=RAW_SCHEMA), dict.fromkeys(symbols, error))
        except UpstreamInvalid as error:
            return CandlePanel(pl.DataFrame(schema=RAW_SCHEMA), dict.fromkeys(symbols, error))
        parts = [part for file in files for part in file.slices(wanted, interval)]
        # One piece of memory: every later step would go through one for each part.
        candles = pl.concat(parts) if parts else pl.DataFrame(schema=RAW_SCHEMA)
        in_range = between(candles, start=start, end=end).rechunk()
        return CandlePanel(in_range, self._refused(wanted, files))

    def symbols(self) -> list[str]:
        """Every symbol of which the directory has candles; reads all of its files.

        Raises OSError, and UpstreamInvalid where `bars.toml` can't be used.
        """
        with self._lock:
            files = self._load(None)
        return sorted(
            {symbol for file in files for block in file.blocks() for symbol in block.rows}
        )

    def actions(
        self,
        symbols: Sequence[str],
        *,
        now: datetime,  # noqa: ARG002 - later ones are known as well
        deadline: Deadline | None = None,  # noqa: ARG002 - what is in memory needs no time
    ) -> dict[str, Sequence[StatedAction] | MlengineError]:
        """Those of `actions.csv` in the directory; none of prices that are adjusted already.

        But for changes of the symbol; see MarketData.
        """
        try:
            with self._lock:
                files = self._load(set(symbols))
        except (OSError, UpstreamInvalid):
            files = []
        adjusted = set[str]().union(*(file.adjusted_symbols() for file in files))
        stated = self._actions.of(symbols)
        for symbol in adjusted & stated.keys():
            actions = stated[symbol]
            if not isinstance(actions, MlengineError):
                stated[symbol] = [each for each in actions if each.kind == SYMBOL_CHANGE]
        return stated

    def actions_version(self) -> Hashable:
        """That of the file of actions."""
        return self._actions.stamp()

    def read_ahead(self, symbols: Set[str]) -> None:
        """Read the files that may hold one of them; what is wrong with one, a question says."""
        with suppress(OSError, UpstreamInvalid), self._lock:
            self._load(symbols)

    def refused_files(self) -> list[tuple[str, str]]:
        """Each file that can't be used, or not to its end, as far as it was looked at, and why.

        Each bad line of `actions.csv`, too. While a large file is read, as it was known before.
        """
        if self._lock.acquire(timeout=_PATIENCE_SECONDS):
            try:
                self._look()
            except UpstreamInvalid as error:
                return [(SETTINGS_FILE, error.reason)]
            except OSError:
                return []
            finally:
                self._lock.release()
        faults = ((name, file.fault()) for name, file in self._files.items())
        actions = [(ACTIONS_FILE, fault) for fault in self._actions.faults()]
        return sorted((name, fault) for name, fault in faults if fault) + actions

    def price_choices(self, symbols: Set[str] | None = None) -> Mapping[str, str]:
        """By file that has both, as far as it was read; see MarketData."""
        return {
            name: "adjusted" if file.is_adjusted else "raw"
            for name, file in sorted(self._files.items())
            if file.content and file.content.has_adjusted
            if symbols is None or not symbols.isdisjoint(file.mentioned_symbols())
        }

    def raw_row(self, file: str, line: int) -> str | None:
        """A row as a file has it, which was looked at before; None where there is none."""
        looked_at = self._files.get(file)
        return looked_at.row_text(line) if looked_at else None

    def raw_cell(self, file: str, line: int, column: str, symbol: str) -> str | None:
        """A cell as a file has it, which was looked at before; see MarketData."""
        looked_at = self._files.get(file)
        return looked_at.cell_text(line, column, symbol) if looked_at else None

    def _load(self, symbols: Set[str] | None) -> list[FolderFile]:
        """The files that may hold some of the symbols, or all, with what they hold."""
        self._look()
        for name, file in self._files.items():
            if symbols is None or file.concerns(symbols):
                read = self._files[name] = file.read(self._zone_of)
                if read is not file and (read.refusal or not file.before):
                    _log(read)
        files = self._files.values()
        return [file for file in files if symbols is None or file.concerns(symbols)]

    def _look(self) -> None:
        """Forget the files that are gone or changed, and read the headers of new ones."""
        stamps = table_files(self._directory)
        settings = self._folder_settings()
        files: dict[str, FolderFile] = {}
        for name, stamp in stamps.items():
            file, of_file = self._files.get(name), settings.of(name)
            if file is None or (file.stamp, file.settings) != (stamp, of_file):
                file = look_at(self._directory / name, stamp, of_file, file)
                if file.refusal:
                    _log(file)
            files[name] = file
        self._files = files

    def _folder_settings(self) -> FolderSettings:
        try:
            stat = (self._directory / SETTINGS_FILE).stat()
            stamp: object = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        except OSError:
            stamp = None
        if stamp != self._settings[0]:
            try:
                self._settings = (stamp, read_settings(self._directory, self._base))
            except UpstreamInvalid as error:
                self._settings = (stamp, error)
        settings = self._settings[1]
        if isinstance(settings, UpstreamInvalid):
            raise settings
        return settings

    def _refused(self, symbols: Set[str], files: Sequence[FolderFile]) -> dict[str, MlengineError]:
        """Why symbols have no candles at all."""
        have: Set[str] = set().union(*(block.rows for file in files for block in file.blocks()))
        reasons: dict[str, MlengineError] = {}
        for file in files:
            if file.refusal:
                reasons = {**dict.fromkeys(file.mentioned_symbols(), file.refusal), **reasons}
        return {symbol: reasons.get(symbol) or UnknownSymbol(symbol) for symbol in symbols - have}

    def _zone_of(self, symbol: str) -> ZoneInfo | None:
        """As stated for the symbol or for all; an exchange's own zone says nothing of files."""
        market = self._markets.markets.get(self._markets.canonical(symbol))
        return (market and market.timezone) or self._markets.default_timezone


def _log(file: FolderFile) -> None:
    if file.refusal:
        log.warning("file refused", extra={"file": file.path.name, "reason": file.refusal.reason})
    elif file.content and file.content.has_adjusted:
        choice = "adjusted" if file.is_adjusted else "raw"
        log.info("prices chosen", extra={"file": file.path.name, "prices": choice})
