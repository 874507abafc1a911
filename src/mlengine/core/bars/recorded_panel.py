"""Many recorded series in one look: the bars as they are now, and what answers add to them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mlengine.core.arrays import Floats, Moments
from mlengine.core.bars.bars import VALUES, BarArrays
from mlengine.core.bars.recorded import NOTHING_HELD, BarsDiff, KnownBars, Revisions

_AGREEMENT, _ROOM = "_agreement", "_room"
_NEVER, _ALWAYS = np.iinfo(np.int64).min, np.iinfo(np.int64).max


class UpstreamAnswer(NamedTuple):
    """An answer to compare with what is held of its symbol; moments in microseconds.

    `arrays.known_at` is when each bar was final. It holds every bar from its first to its last one:
    a bar in between that it lacks is gone. Later bars stay, unless its last bar is another one than
    ours; so do earlier ones, unless it `is_of_all` that are held and its first bars are others than
    ours, for then they are of other prices.

    The first answer is history, and so are bars from before `asked_from`, where the earlier answers
    begin: known from when they were final on. So are, with `known_from`, the bars after our last
    one, but not before then. All others are known from `seen_at` on.
    """

    held: KnownBars
    arrays: BarArrays
    seen_at: int
    asked_from: int
    known_from: int | None
    is_of_all: bool = False

    @property
    def last_held(self) -> int:
        """When the last bar that is held begins."""
        starts = self.held.arrays.starts
        return int(starts[-1]) if len(starts) else _NEVER


def newest_of_each(series: Sequence[tuple[str, Revisions]]) -> list[KnownBars]:
    """`Revisions.newest` of each symbol; with one look at the rows of those never revised."""
    filled = [rows for _, rows in series if len(rows.starts)]
    plain = iter(_are_plain(filled) if filled else [])
    newest: list[KnownBars] = []
    for symbol, rows in series:
        if not len(rows.starts):
            newest.append(NOTHING_HELD)
        elif next(plain):
            arrays = BarArrays(symbol, rows.starts, rows.values, rows.known_at)
            newest.append(KnownBars(arrays, rows.seen_at, 0))
        else:
            newest.append(rows.newest(symbol))
    return newest


def _are_plain(parts: Sequence[Revisions]) -> list[bool]:
    """Of each, whether there is one row a bar, with values, known in the order of their starts."""
    starts = np.concatenate([part.starts for part in parts])
    known_at = np.concatenate([part.known_at for part in parts])
    odd = np.isnan(np.concatenate([part.values[0] for part in parts]))
    firsts = _firsts([part.rows for part in parts])
    odd_step = (starts[1:] == starts[:-1]) | (known_at[1:] < known_at[:-1])
    odd_step[firsts[1:] - 1] = False
    odd[1:] |= odd_step
    return [not each for each in np.logical_or.reduceat(odd, firsts).tolist()]


def agreements(held: Sequence[KnownBars], answers: Sequence[BarArrays]) -> list[int | None]:
    """Of each answer, how many of its first bars are held, where all others come after these.

    None where that is not so. An answer remembers it, for it is asked twice: whether it goes on
    from what is held, and what it adds.
    """
    counts: list[int | None] = []
    ours: list[BarArrays] = []
    theirs: list[BarArrays] = []
    compared: list[int] = []
    for number, (known, answer) in enumerate(zip(held, answers, strict=True)):
        found = vars(answer).get(_AGREEMENT)
        if found and found[0] is known:
            counts.append(found[1])
            continue
        arrays = known.arrays
        rows = 0
        if len(answer.starts):
            rows = len(arrays.starts) - int(arrays.starts.searchsorted(answer.starts[0]))
        counts.append(rows if rows <= len(answer.starts) else None)
        if 0 < rows <= len(answer.starts):
            ours.append(arrays)
            theirs.append(answer)
            compared.append(number)
    if not compared:
        return counts
    rows_of = [counts[number] or 0 for number in compared]
    pairs = list(zip(ours, theirs, rows_of, strict=True))
    our_starts = np.concatenate([arrays.starts[-rows:] for arrays, _, rows in pairs])
    their_starts = np.concatenate([answer.starts[:rows] for _, answer, rows in pairs])
    our_values = np.concatenate([arrays.values[:, -rows:] for arrays, _, rows in pairs], axis=1)
    their_values = np.concatenate([answer.values[:, :rows] for _, answer, rows in pairs], axis=1)
    same = (our_starts == their_starts) & (our_values == their_values).all(axis=0)
    agree = np.logical_and.reduceat(same, _firsts(rows_of)).tolist()
    for number, agrees in zip(compared, agree, strict=True):
        if not agrees:
            counts[number] = None
        vars(answers[number])[_AGREEMENT] = held[number], counts[number]
    return counts


def diffs(answers: Sequence[UpstreamAnswer]) -> list[BarsDiff]:
    """What each answer says beyond the bars that are held of its symbol."""
    if not answers:
        return []
    agreed = agreements([each.held for each in answers], [each.arrays for each in answers])
    firsts = [count or 0 for count in agreed]
    starts = [each.arrays.starts[first:] for each, first in zip(answers, firsts, strict=True)]
    seen_at = _in_parts([each.seen_at for each in answers], [len(each) for each in starts])
    known_at = _known_at(answers, firsts, starts)
    rows = [
        Revisions(begin, each.arrays.values[:, first:], known, seen)
        for each, first, begin, known, seen in zip(
            answers, firsts, starts, known_at, seen_at, strict=True
        )
    ]
    return [
        each.held.revised_by(each.arrays, added.known_at, each.seen_at, is_of_all=each.is_of_all)
        if count is None
        else BarsDiff(added, len(added.starts), 0, _followed(each, added))
        for each, added, count in zip(answers, rows, agreed, strict=True)
    ]


class _Room(NamedTuple):
    """The columns of `KnownBars` with room for more bars behind them."""

    starts: Moments
    values: Floats
    known_at: Moments
    first_seen: Moments

    @classmethod
    def behind(cls, held: KnownBars, rows: int) -> "_Room":
        """A copy of what is held, with room for `rows` in all."""
        arrays, ours = held.arrays, len(held.arrays.starts)
        values = np.empty((len(VALUES), rows), "<f8")
        room = cls(np.empty(rows, "<i8"), values, *np.empty((2, rows), "<i8"))
        room.starts[:ours] = arrays.starts
        room.values[:, :ours] = arrays.values
        room.known_at[:ours] = arrays.known_at
        room.first_seen[:ours] = held.first_seen
        return room


def _followed(answer: UpstreamAnswer, rows: Revisions) -> KnownBars:
    """The bars of a series with the later ones that are new, and memory of their own.

    New bars are written behind those that are held, where there is room: of a long series a copy
    for each bar would cost more than all else. Bars that somebody may read never change. Only one
    may write behind the same bars: who takes the room out of them, at once and for good. The first
    copy of a series has none, for most are read anew before their next bar but one.
    """
    held, symbol = answer.held, answer.arrays.symbol
    ours, end = len(held.arrays.starts), len(held.arrays.starts) + len(rows.starts)
    if ours == end:
        return held
    if not ours:
        arrays = BarArrays(symbol, rows.starts, rows.values, rows.known_at.copy())
        return KnownBars(arrays, rows.seen_at.copy(), held.revised_at)
    room: _Room | None = vars(held).pop(_ROOM, None)
    if room is None:
        room = _Room(
            np.concatenate((held.arrays.starts, rows.starts)),
            np.concatenate((held.arrays.values, rows.values), axis=1),
            np.concatenate((held.arrays.known_at, rows.known_at)),
            np.concatenate((held.first_seen, rows.seen_at)),
        )
    else:
        if len(room.starts) < end:
            room = _Room.behind(held, end + max(end // 16, 16))
        room.starts[ours:end] = rows.starts
        room.values[:, ours:end] = rows.values
        room.known_at[ours:end] = rows.known_at
        room.first_seen[ours:end] = rows.seen_at
    arrays = BarArrays(symbol, room.starts[:end], room.values[:, :end], room.known_at[:end])
    followed = KnownBars(arrays, room.first_seen[:end], held.revised_at)
    vars(followed)[_ROOM] = room
    return followed


def _known_at(
    answers: Sequence[UpstreamAnswer], firsts: Sequence[int], written: Sequence[Moments]
) -> list[Moments]:
    """From when on each bar counts as known of those written, from the first of each on."""
    finals = [each.arrays.known_at[first:] for each, first in zip(answers, firsts, strict=True)]
    rows = [len(each) for each in written]
    if not sum(rows):
        return finals
    starts, final = np.concatenate(written), np.concatenate(finals)
    held = [each.held.arrays.starts for each in answers]
    asked_from = [
        each.asked_from if len(ours) else _ALWAYS for each, ours in zip(answers, held, strict=True)
    ]
    known = np.where(
        starts < np.repeat(asked_from, rows),
        final,
        np.repeat([each.seen_at for each in answers], rows),
    )
    unwatched = [
        int(ours[-1]) if len(ours) and each.known_from is not None else _ALWAYS
        for each, ours in zip(answers, held, strict=True)
    ]
    later = starts > np.repeat(unwatched, rows)
    if later.any():
        known_from = np.repeat([each.known_from or _NEVER for each in answers], rows)
        known[later] = np.maximum(final[later], known_from[later])
    return _parts(known, rows)


def _in_parts(values: Sequence[int], rows: Sequence[int]) -> list[Moments]:
    """Each value as often as its part has rows."""
    return _parts(np.repeat(values, rows), rows)


def _parts(column: Moments, rows: Sequence[int]) -> list[Moments]:
    """The parts of a column: whoever keeps one keeps all, unless it is copied."""
    ends = np.cumsum(rows).tolist()
    return [column[end - count : end] for end, count in zip(ends, rows, strict=True)]


def _firsts(rows: Sequence[int]) -> Moments:
    """Where each part begins, of parts of so many rows, one after the other."""
    return np.cumsum([0, *rows[:-1]])
