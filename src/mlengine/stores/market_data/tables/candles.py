"""The cells of a table as candles in RAW_SCHEMA."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import polars as pl

from mlengine.core.bars.bars import PRICES, VALUES
from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.tables.cells.clocks import dated_clocks
from mlengine.stores.market_data.tables.cells.flags import read_flags
from mlengine.stores.market_data.tables.cells.numbers import (
    categories_as_text,
    decimal_sign,
    first_unread,
    no_number,
    plain_numbers,
    written_numbers,
)
from mlengine.stores.market_data.tables.cells.times import read_times
from mlengine.stores.market_data.tables.cells.zones import all_state_zones, to_moments
from mlengine.stores.market_data.tables.columns.doubts import (
    refuse_doubtful_dots,
    refuse_other_header,
    refuse_unnamed,
)
from mlengine.stores.market_data.tables.columns.roles import Roles
from mlengine.stores.market_data.tables.columns.time_doubts import (
    refuse_doubtful_starts,
    refuse_other_zone,
    refuse_undated,
)
from mlengine.stores.market_data.tables.settings import TableSettings
from mlengine.stores.market_data.tables.table import (
    CellRefused,
    LocalTimes,
    Table,
    constant,
    names_of,
    states_something,
)

ZoneOf = Callable[[str], ZoneInfo | None]


@dataclass(frozen=True, eq=False)
class ReadCandles:
    """Candles in RAW_SCHEMA; how the file is written as its cells show it; what they left open.

    `needs_whole_file` says that some cell could not be read, or only beside others: a part of the
    file alone would not decide it.
    """

    candles: pl.DataFrame
    settings: TableSettings
    needs_whole_file: bool


def read_candles(
    table: Table, roles: Roles, settings: TableSettings, *, symbol: str, zone_of: ZoneOf
) -> ReadCandles:
    """The candles of those columns; without a column of symbols every row is of `symbol`.

    Numbers that can't be read become null, and so does the timestamp of a row whose start, or the
    close that it states, can't be read. Raises UpstreamInvalid, which names line, column and value.
    """
    reader = _Reader(table, roles, settings, roles.ticker or symbol, zone_of)
    return reader.read()


class _Reader:
    def __init__(
        self, table: Table, roles: Roles, settings: TableSettings, symbol: str, zone_of: ZoneOf
    ) -> None:
        self._table = table
        self._roles = roles
        self._settings = settings
        self._zone_of = zone_of
        self._needs_whole_file = False
        self._symbol = symbol
        self._symbols = self._symbols_of(symbol)

    def read(self) -> ReadCandles:
        values = self._values()
        at, session = self._starts()
        columns = {"symbol": self._symbols, "timestamp": at, "session": session, **values}
        if self._settings.stamp == "end":
            columns["closes_at"] = at
        elif self._roles.closes is not None:
            closes, is_stated = self._closes(self._roles.closes)
            columns["closes_at"] = closes
            columns["timestamp"] = at.set(is_stated & closes.is_null(), None)
        if (final := self._final()) is not None:
            columns["final"] = final
        refuse_undated(self._table, self._roles.start, columns["timestamp"])
        candles = self._of_a_symbol(self._table.candles(columns))
        return ReadCandles(candles, self._settings, self._needs_whole_file)

    def _symbols_of(self, symbol: str) -> pl.Series:
        if self._roles.symbol is None:
            return constant(symbol, pl.String(), self._table.rows)
        return names_of(self._table.columns[self._roles.symbol])

    def _of_a_symbol(self, candles: pl.DataFrame) -> pl.DataFrame:
        """Without blank rows, those that name no symbol or are of others, and further headers."""
        blank = self._table.blank_rows()
        self._needs_whole_file |= blank is not None
        if self._roles.ticker is not None:
            mine = self._table.rows_of([*self._roles.prices.values()])
            return candles.filter(mine if blank is None else mine & ~blank)
        if blank is not None:
            candles = candles.filter(~blank)
        if self._roles.symbol is None:
            return candles
        name = self._table.names[self._roles.symbol]
        symbol = candles["symbol"]
        named = symbol.is_not_null() & (symbol != "") & (symbol != name)
        if named.all():  # to filter copies all
            return candles
        refuse_unnamed(self._table, self._roles.symbol, candles.filter(~named))
        return candles.filter(named)

    def _values(self) -> dict[str, pl.Series]:
        positions = dict(self._roles.prices)
        if self._roles.volume is not None:
            positions["volume"] = self._roles.volume
        if self._roles.adjusted is not None and self._settings.adjusted:
            positions["adjusted"] = self._roles.adjusted
        values = self._numbers(positions)
        if self._roles.volume is None:
            values["volume"] = constant(None, pl.Float64(), self._table.rows)
        adjusted = values.pop("adjusted", None)
        if adjusted is not None:
            factor = adjusted / values["close"]
            values |= {name: values[name] * factor for name in PRICES}
        return {name: values[name] for name in VALUES}

    def _numbers(self, positions: dict[str, int]) -> dict[str, pl.Series]:
        texts = {name: categories_as_text(self._table.columns[i]) for name, i in positions.items()}
        decimal = self._settings.decimal
        if decimal is None and "volume" in texts:
            refuse_doubtful_dots(self._table, texts, positions["volume"])
        values = {name: plain_numbers(column) for name, column in texts.items()}
        unread = [first_unread(texts[name], values[name]) for name in values]
        if decimal != "," and all(row is None for row in unread):
            return values
        written = {name: column for name, column in texts.items() if column.dtype == pl.String}
        try:
            decimal = decimal or decimal_sign(list(written.values()))
        except CellRefused as refused:
            raise self._refusal_in(positions, refused) from None
        self._settings = replace(self._settings, decimal=decimal)
        values |= {
            name: written_numbers(column, decimal, has_multiples=name == "volume")
            for name, column in written.items()
        }
        refuse_other_header(self._table, positions, values)
        for name in written:
            row = first_unread(texts[name], values[name])
            self._needs_whole_file |= row is not None
            if row is not None and values[name].null_count() == len(values[name]):
                raise self._table.refusal(positions[name], no_number(name, row, texts[name][row]))
        return values

    def _refusal_in(self, positions: dict[str, int], refused: CellRefused) -> UpstreamInvalid:
        for position in positions.values():
            column = self._table.columns[position]
            if column.dtype == pl.String and (column[refused.row] or "").strip() == refused.value:
                return self._table.refusal(position, refused)
        return self._table.refusal(self._roles.start, refused)

    def _start_column(self) -> pl.Series:
        start, clock = self._table.columns[self._roles.start], self._roles.clock
        if clock is None:
            return start
        known = self._settings.clock_digits
        try:
            column, digits = dated_clocks(start, self._table.columns[clock], known)
        except CellRefused as refused:
            raise self._table.refusal(clock, refused) from None
        # Rows before that have fewer digits were read otherwise.
        self._needs_whole_file |= known not in (None, digits)
        self._settings = replace(self._settings, clock_digits=digits)
        return column

    def _starts(self) -> tuple[pl.Series, pl.Series]:
        """The starts, or the ends that the rows are stamped at, and the sessions."""
        column = self._start_column()
        times, self._settings = self._times(self._roles.start, column, self._settings)
        if self._settings.date_format is None:
            refuse_doubtful_starts(self._table, self._roles, times.local, self._symbols)
        if self._settings.stamp == "start":
            return self._moments(times, column)
        # A bare date ends at the midnight that follows it.
        local, day = times.local, timedelta(days=1)
        ends = local + day if times.bare is True else local
        if isinstance(times.bare, pl.Series):
            ends = (local + day).zip_with(times.bare, local)
        at, _ = self._moments(replace(times, local=ends), column)
        return at, (ends - timedelta(microseconds=1)).dt.date()

    def _closes(self, position: int) -> tuple[pl.Series, pl.Series]:
        """The closes, and whether each row states one."""
        column = self._table.columns[position]
        # A close may be a number where a start is a text.
        times, _ = self._times(position, column, replace(self._settings, times_are_epochs=None))
        return self._moments(times, column)[0], states_something(column)

    def _times(
        self, position: int, column: pl.Series, settings: TableSettings
    ) -> tuple[LocalTimes, TableSettings]:
        try:
            return read_times(categories_as_text(column), settings)
        except CellRefused as refused:
            raise self._table.refusal(position, refused) from None

    def _moments(self, times: LocalTimes, column: pl.Series) -> tuple[pl.Series, pl.Series]:
        """The moments, and the sessions that are stated."""
        zones = {} if all_state_zones(times) else self._zones(times)
        of_file = self._settings.zone is not None
        at, sessions = to_moments(times, self._symbols, zones, of_file=of_file)
        if at.null_count() > column.null_count():
            self._needs_whole_file |= bool((states_something(column) & at.is_null()).any())
        return at, sessions

    def _zones(self, times: LocalTimes) -> dict[str, str]:
        symbols = [self._symbol]
        if self._roles.symbol is not None:
            symbols = self._symbols.drop_nulls().unique().to_list()
        if self._settings.zone:
            return dict.fromkeys(symbols, self._settings.zone)
        zones = {symbol: self._zone_of(symbol) for symbol in symbols}
        if None in zones.values():
            refuse_other_zone(self._table, self._roles.start, times.local)
        return {symbol: str(zone or "UTC") for symbol, zone in zones.items()}

    def _final(self) -> pl.Series | None:
        if self._table.torn:
            return constant(False, pl.Boolean(), self._table.rows)
        if self._roles.final is None:
            return None
        final = self._roles.final
        try:
            return read_flags(self._table.columns[final], self._table.names[final])
        except CellRefused as refused:
            raise self._table.refusal(final, refused) from None
