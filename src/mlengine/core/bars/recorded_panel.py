"""Many recorded series in one look: the bars as they are now, and what answers add to them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mlengine.core.arrays import Moments
from mlengine.core.bars.bars import BarArrays
from mlengine.core.bars.recorded import NOTHING_HELD, BarsDiff, KnownBars, Revisions

_AGREEMENT = "_agreement"
_NEVER, _ALWAYS = np.iinfo(np.int64).min, np.iinfo(np.int64).max


class UpstreamAnswer(NamedTuple):
    """An answer to compare with what is held of its symbol; moments in microseconds.

    `arrays.known_at` is when each bar was final. It holds every bar from its first to its last one:
    a bar in between that it lacks is gone. Later bars stay, unless its last bar is another one than
    ours.

    The first answer is history, and so are bars from before `asked_from`, where the earlier answers
    begin: known from when they were final on. So are, with `known_from`, the bars after our last
    one, but not before then. All others are known from `seen_at` on.
    """

    held: KnownBars
    arrays: BarArrays
    seen_at: int
    asked_from: int
    known_from: int | None

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
    written = [
        each.arrays.slice(count, each.arrays.rows) if count else each.arrays
        for each, count in zip(answers, agreed, strict=True)
    ]
    seen_at = _in_parts([each.seen_at for each in answers], [len(each.starts) for each in written])
    rows = [
        Revisions(bars.starts, bars.values, known_at, seen)
        for bars, known_at, seen in zip(written, _known_at(answers, written), seen_at, strict=True)
    ]
    return [
        each.held.revised_by(each.arrays, added.known_at, each.seen_at)
        if count is None
        else BarsDiff(added, len(added.starts), 0, _followed(each, added))
        for each, added, count in zip(answers, rows, agreed, strict=True)
    ]


def _followed(answer: UpstreamAnswer, rows: Revisions) -> KnownBars:
    """The bars of a series with the later ones that are new."""
    held, symbol = answer.held, answer.arrays.symbol
    ours = held.arrays
    if not len(rows.starts):
        return held
    if not len(ours.starts):
        arrays = BarArrays(symbol, rows.starts, rows.values, rows.known_at)
        return KnownBars(arrays, rows.seen_at, held.revised_at)
    # One by one, since copies of copies cost more; `np.append` takes as long again.
    starts = np.concatenate((ours.starts, rows.starts))
    values = np.concatenate((ours.values, rows.values), axis=1)
    known_at = np.concatenate((ours.known_at, rows.known_at))
    first_seen = np.concatenate((held.first_seen, rows.seen_at))
    return KnownBars(BarArrays(symbol, starts, values, known_at), first_seen, held.revised_at)


def _known_at(answers: Sequence[UpstreamAnswer], written: Sequence[BarArrays]) -> list[Moments]:
    """From when on each of the written bars counts as known; arrays that may be written to."""
    rows = [len(each.starts) for each in written]
    if not sum(rows):
        return [each.known_at.copy() for each in written]
    starts = np.concatenate([each.starts for each in written])
    final = np.concatenate([each.known_at for each in written])
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
    """The parts of a column, of which none keeps the others alive."""
    ends = np.cumsum(rows).tolist()
    return [column[end - count : end].copy() for end, count in zip(ends, rows, strict=True)]


def _firsts(rows: Sequence[int]) -> Moments:
    """Where each part begins, of parts of so many rows, one after the other."""
    return np.cumsum([0, *rows[:-1]])
