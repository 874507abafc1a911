"""The shape of a service: its addresses and its answers, against those of the candle contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, quote, urlsplit

from mlengine.core.bars.epochs import EPOCH_UNITS
from mlengine.core.timestamps import EPOCH, rfc3339
from mlengine.errors import UnknownSymbol, UpstreamInvalid

SETTING = "MARKET_DATA_UPSTREAM_FILE"
TIMES = ("iso", "date", *EPOCH_UNITS)
ROWS = ("objects", "lists", "columns", "keyed")
PAGING = ("range", "next", "whole")
ORDERS = ("unknown", "oldest_first")
FIELDS = ("timestamp", "open", "high", "low", "close", "volume", "close_time", "final", "symbol")
PLACEHOLDERS = ("symbol", "interval", "start", "end", "limit", "key")

KeyPath = tuple[str, ...]

# As part of a path they are folders.
_DOTS = (".", "..")


@dataclass(frozen=True)
class ServiceShape:
    """What is asked, and where in the answer the candles lie.

    `path` and `query` are templates of PLACEHOLDERS; `time` says how start and end are written, and
    `intervals` how the service calls ours. `candles` is where the rows lie: keys from the outside
    in, of which each may be `{symbol}` or have `*`. The rows are `objects`, `lists`, one list a
    column (`columns`), or objects by their time (`keyed`); `fields` says how they call ours, by
    name or place. `paging`: the platform asks on by `range`, by what the answer calls the `next`
    page (in the parameter `next_parameter`, or as an address), or not at all, for an answer is the
    `whole`. Where `no_data` is true of an answer, there are no candles; where `unknown` is true of
    a refusal, there is no such symbol. What `success` states must be true of an answer that it
    is read of. `zone` is that of times that state none, by its name or by where the answer has it.
    """

    path: str = "/candles"
    query: Mapping[str, str] = field(
        default_factory=lambda: {name: f"{{{name}}}" for name in PLACEHOLDERS if name != "key"}
    )
    time: str = "iso"
    intervals: Mapping[str, str] = field(default_factory=dict)
    candles: KeyPath | None = None
    symbol: KeyPath | None = None
    rows: str = "objects"
    fields: Mapping[str, str | int] = field(default_factory=dict)
    paging: str = "range"
    next_page: KeyPath = ()
    next_parameter: str = ""
    order: str = "unknown"
    no_data: Mapping[str, object] = field(default_factory=dict)
    unknown: Mapping[str, object] = field(default_factory=dict)
    success: Mapping[str, object] = field(default_factory=dict)
    zone: str = ""

    @property
    def takes_key(self) -> bool:
        """Whether a key goes where the templates say, and nowhere else."""
        return "{key}" in "".join((self.path, *self.query.values()))

    @property
    def takes_limit(self) -> bool:
        """Whether a page is of a size that is asked for."""
        return "{limit}" in "".join((self.path, *self.query.values())) and self.paging != "whole"

    @property
    def resolution(self) -> timedelta:
        """By how much more than a range a service may give that is asked for whole days."""
        return timedelta(days=1) if self.time == "date" else timedelta()

    def request(
        self, symbol: str, interval: str, start: datetime, end: datetime, *, limit: int, key: str
    ) -> tuple[str, dict[str, str]]:
        """The path and the query that ask for a page.

        Raises UpstreamInvalid for an interval that has no name, UnknownSymbol for a symbol that
        would lead to another path.
        """
        if symbol in _DOTS and "{symbol}" in self.path:
            raise UnknownSymbol(symbol)
        if self.intervals and interval not in self.intervals:
            names = ", ".join(self.intervals)
            raise UpstreamInvalid(
                f"its shape has no name for the interval {interval}, only for {names}: see "
                f"intervals in {SETTING}"
            )
        values = {
            "symbol": symbol,
            "interval": self.intervals.get(interval, interval),
            "start": self._moment(start.replace(microsecond=0)),
            "end": self._moment(_whole_second_from(end)),
            "limit": str(limit),
            "key": key,
        }
        in_path = {**values, "symbol": quote(symbol, safe=""), "key": quote(key, safe="")}
        query = {name: _filled(text, values) for name, text in self.query.items()}
        return _filled(self.path, in_path), query

    def next_request(
        self, path: str, query: Mapping[str, str], value: str, *, base_path: str = ""
    ) -> tuple[str, dict[str, str]]:
        """What asks for the page that an answer calls the next.

        Of an address no host is taken, nor `base_path`, which is asked below of anyway.
        """
        if self.next_parameter:
            return path, {**query, self.next_parameter: value}
        parts = urlsplit(value)
        further = dict(parse_qsl(parts.query))
        secret = {name: query[name] for name, text in self.query.items() if "{key}" in text}
        if not parts.path:
            return path, {**further, **secret}
        below = f"/{parts.path.lstrip('/')}".removeprefix(f"{base_path.rstrip('/')}/")
        return f"/{below.lstrip('/')}", {**further, **secret}

    def with_changes(self, changes: Mapping[str, object]) -> ServiceShape:
        return replace(self, **changes)  # type: ignore[arg-type]

    def _moment(self, moment: datetime) -> str:
        if self.time == "iso":
            return rfc3339(moment)
        if self.time == "date":
            return f"{moment:%Y-%m-%d}"
        return str((moment - EPOCH) // timedelta(seconds=1) * EPOCH_UNITS[self.time])


def _filled(template: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        template = template.replace(f"{{{name}}}", value)
    return template


def _whole_second_from(moment: datetime) -> datetime:
    """The first whole second at or after `moment`; some services read no fractions."""
    return (moment + timedelta(microseconds=999_999)).replace(microsecond=0)
