"""All candles of a range from a service that gives a page at a time, in whichever order."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl

from mlengine.core.bars.bars import RAW_SCHEMA
from mlengine.core.timestamps import rfc3339
from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.candles import between

# Shorter and shorter ranges for a service that refuses a long one, and that of a page; the last
# three only once it is certain that ranges are what it refuses.
_DAYS = (7_300, 3_650, 1_825, 730, 365, 90, 30, 7)
_LAST_TRIED_BLINDLY = 365
# A part without candles may be a closure, of which the longest are those of lunar new years.
_LONGEST_CLOSURE = timedelta(days=14)
# So many candles may be new since the page before; more show that a page begins with the oldest.
_NEW_MEANWHILE = 2
# So many pages of one size that held all of their range are no coincidence.
_WHOLE_PAGES = 3


class RangeRefused(Exception):
    """The service does not answer for that range; another one may do."""


@dataclass
class PageSizes:
    """What one service's pages say of a cap that it has below what is asked for.

    A page that is smaller than another one is not capped, nor is one of a size of which several
    held all of their range, and none did not.
    """

    _largest: int = 0
    _whole: Counter[int] = field(default_factory=Counter)
    _perhaps_caps: set[int] = field(default_factory=set)

    def is_uncapped(self, size: int) -> bool:
        """Whether a page of that size was hardly cut off there."""
        is_known = size < self._largest or self._whole[size] >= _WHOLE_PAGES
        return is_known and size not in self._perhaps_caps

    def record(self, size: int, *, is_whole: bool) -> None:
        """A page of that size has come, and nothing more of its range where it was whole."""
        self._largest = max(self._largest, size)
        if is_whole:
            self._whole[size] += 1
        else:
            self._perhaps_caps.add(size)


@dataclass
class PageReader:
    """Follows pages of one symbol; `ask` gets what a service serves from start to end.

    A page may hold the oldest of the range or the newest, in either order, and candles that were
    not asked for; `limit` is how many it should hold, None leaves that to the service. It raises
    RangeRefused where another range may do. `empty` is a range, up to the first candle, that was
    asked for before and had none. `paging` and `order` are those of a ServiceShape. A page with
    fewer candles than `page_size` that reaches the ends of its range but for a gap like those
    between its candles is taken for all of it, unless `sizes` leave open whether it was cut off.
    By `resolution` more than was asked for may come at the end of a range. `page_span` is how long
    a page is, whose service may count both ends.
    """

    ask: Callable[[datetime, datetime, int | None], pl.DataFrame]
    step: timedelta
    empty: tuple[datetime, datetime] | None = None
    paging: str = "range"
    order: str = "unknown"
    page_size: int = 0
    sizes: PageSizes = field(default_factory=PageSizes)
    resolution: timedelta = timedelta()
    page_span: timedelta = timedelta()

    def candles(self, start: datetime, end: datetime) -> pl.DataFrame:
        """Every candle with `start <= timestamp < end`; see MarketData.

        Raises UpstreamInvalid when older candles than those that came may be there and can't be
        had, and RangeRefused when no range is answered.
        """
        parts: list[pl.DataFrame] = []
        span, until, quiet = end - start, end, timedelta()
        while until > start:
            since = max(start, until - span)
            try:
                part = self._range(since, until)
            except RangeRefused:
                span = self._next_shorter(until - since, is_blind=not parts)
                if not span:
                    if parts:
                        break
                    raise
                continue
            quiet = quiet + (until - since) if part.is_empty() else timedelta()
            if quiet >= _LONGEST_CLOSURE and any(newer.height for newer in parts):
                break
            parts.append(part)
            until = since
        return _joined(parts[::-1])

    def _next_shorter(self, span: timedelta, *, is_blind: bool) -> timedelta:
        """What to ask for in place of a range that was refused; nothing where all was tried."""
        days = (timedelta(days=days) for days in _DAYS)
        spans = [each for each in days if not is_blind or each.days >= _LAST_TRIED_BLINDLY]
        shorter = (each for each in sorted([*spans, self.page_span], reverse=True) if each < span)
        return next(shorter, timedelta())

    def _range(self, start: datetime, end: datetime) -> pl.DataFrame:
        page = self.ask(start, end, None)
        newest, oldest = _newest(page), _oldest(page)
        if newest is None or oldest is None or self.paging != "range":
            return _in_range(page, start, end)
        if self._is_whole(page, oldest - start, end - newest):
            return _in_range(page, start, end)
        reached = _newest(_in_range(page, start, end)) or newest
        newer = _joined([_in_range(each, start, end) for each in self._newer(reached, end)])
        first = _in_range(page, start, end)
        brought = (newer["timestamp"] > newest).sum()
        older: list[pl.DataFrame] = []
        if brought <= _NEW_MEANWHILE and not self._begins(start, oldest):
            older = self._older(min(oldest, end), start, page)
        self.sizes.record(page.height, is_whole=not (brought or older))
        return _joined([*older[::-1], first, newer])

    def _is_whole(self, page: pl.DataFrame, before: timedelta, after: timedelta) -> bool:
        """Whether a page that leaves so much time out has all candles of its range.

        What begins within a step of the end has not closed by then.
        """
        if page.height >= self.page_size or page["timestamp"].null_count():
            return False
        if before <= self.step and after < 2 * self.step:
            self.sizes.record(page.height, is_whole=True)
            return True
        gaps: list[timedelta] = page["timestamp"].sort().diff().drop_nulls().to_list()
        is_near = max(before, after) <= max(gaps, default=self.step) + self.step
        return is_near and self.sizes.is_uncapped(page.height)

    def _begins(self, start: datetime, oldest: datetime) -> bool:
        """Whether nothing can lie from `start` to the oldest candle of a page."""
        if self.order == "oldest_first":
            return True
        is_empty = self.empty is not None and self.empty[0] <= start and oldest <= self.empty[1]
        return is_empty or oldest - self.step <= start

    def _newer(self, newest: datetime, end: datetime) -> list[pl.DataFrame]:
        """The pages after the first, while each brings something newer."""
        pages: list[pl.DataFrame] = []
        before = None
        while newest != before and newest + self.step < end:
            pages.append(self.ask(newest, end, None))
            reached = _newest(_in_range(pages[-1], newest, end))
            before, newest = newest, max(newest, reached or newest)
        return pages

    def _older(self, oldest: datetime, start: datetime, page: pl.DataFrame) -> list[pl.DataFrame]:
        """What lies before the first page, newest first; none where that began with the oldest."""
        pages: list[pl.DataFrame] = []
        while oldest > start:
            try:
                served = self.ask(start, oldest, None)
            except RangeRefused:
                if pages:
                    raise
                break
            older = _in_range(served, start, oldest)
            before = _oldest(older)
            if before is None:
                if not self._ends_there(served, oldest, page):
                    self._require_oldest(start, oldest, page)
                self.empty = (start, oldest)
                break
            pages.append(older)
            oldest = before
        return pages

    def _ends_there(self, served: pl.DataFrame, oldest: datetime, page: pl.DataFrame) -> bool:
        """Whether what a service gives of a range before `oldest` says that there is nothing.

        One that is asked for whole days gives the rest of that day, from `oldest` on.
        """
        newest = _newest(served)
        if newest is None or newest <= oldest:
            return True
        is_rest = _oldest(served) == oldest and served.height < page.height
        return is_rest and newest < oldest + self.resolution

    def _require_oldest(self, start: datetime, oldest: datetime, page: pl.DataFrame) -> None:
        """That a service which takes no end begins with the oldest: a short page has the same."""
        newest = _newest(page)
        short = None if newest is None else self.ask(start, newest + self.step, 1)
        if short is None or _oldest(short) != oldest or short.height >= page.height:
            raise UpstreamInvalid(
                f"it gives the same {page.height} candles whatever range is asked for, so that "
                f"there may be others before {rfc3339(oldest)}: ask for fewer bars, or set "
                'paging = "whole" in MARKET_DATA_UPSTREAM_FILE if these are all'
            )


def _in_range(page: pl.DataFrame, start: datetime, end: datetime) -> pl.DataFrame:
    """The candles of the range, oldest first where the page is newest first."""
    newest_first = page["timestamp"].is_sorted(descending=True)
    return between(page.reverse() if newest_first else page, start=start, end=end)


def _joined(pages: list[pl.DataFrame]) -> pl.DataFrame:
    """All pages in order, without the candles that a page brings a second time, unchanged.

    Those stand in the page before, or have no timestamp.
    """
    if not pages:
        return pl.DataFrame(schema=RAW_SCHEMA)
    parts = [pages[0]]
    before = pages[0]
    for page in pages[1:]:
        parts.append(
            page.join(before, on=page.columns, how="anti", nulls_equal=True, maintain_order="left")
        )
        unread = before.filter(pl.col("timestamp").is_null())
        before = pl.concat([page, unread])
    return pl.concat(parts, rechunk=True) if len(parts) > 1 else parts[0]


def _newest(page: pl.DataFrame) -> datetime | None:
    newest = page["timestamp"].max()
    return newest if isinstance(newest, datetime) else None


def _oldest(page: pl.DataFrame) -> datetime | None:
    oldest = page["timestamp"].min()
    return oldest if isinstance(oldest, datetime) else None
