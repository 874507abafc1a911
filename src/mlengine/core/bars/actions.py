"""Corporate actions: what they do to earlier prices, by what was known of them at a moment."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import numpy as np

from mlengine.core.arrays import Floats
from mlengine.core.bars.bars import BarArrays
from mlengine.core.timestamps import EPOCH

SPLIT, DIVIDEND = "split", "dividend"
KINDS = (SPLIT, DIVIDEND)
# What is adjusted for, by the setting MARKET_DATA_ADJUST.
ADJUSTMENTS: Final = {"none": (), "splits": (SPLIT,), "all": KINDS}

_CLOSE, _VOLUME = 3, 4


@dataclass(frozen=True, order=True)
class CorporateAction:
    """A split or a cash dividend of one symbol.

    Bars of sessions from `ex_date` on are traded after it. `value` is how many new shares one old
    share becomes (4.0; 0.1 for a reverse split of ten to one), or the cash paid per share, in the
    currency of the prices. `known_at` is when it was announced or first seen.
    """

    symbol: str
    ex_date: date
    kind: str
    value: float
    known_at: datetime


def adjust(
    bars: BarArrays, actions: Sequence[CorporateAction], *, kinds: Sequence[str], at: datetime
) -> BarArrays:
    """Raw bars as they are comparable with the newest, by the actions of `kinds` known at `at`.

    Prices before an ex-date are divided by a split's ratio and multiplied by 1 - d / c for a
    dividend d after a close c (the convention of CRSP and Yahoo); volumes before it are multiplied
    by the ratio of splits alone. An action counts once a bar of its ex-date or later is there, so
    that one that is only announced changes nothing; a dividend as high as the close before it, or
    one without a bar before it, is left out. The result has the same starts and `known_at`; it is
    `bars` itself where nothing applies.

    >>> rows = np.array([[100.0, 102.0, 50.0]] * 4 + [[10.0, 10.0, 10.0]])
    >>> days = np.array([0, 86_400_000_000, 172_800_000_000])
    >>> bars = BarArrays("A", days, rows, days)
    >>> known = datetime(1970, 1, 1, tzinfo=UTC)
    >>> split = CorporateAction("A", date(1970, 1, 3), SPLIT, 2.0, known)
    >>> adjust(bars, [split], kinds=[SPLIT], at=datetime(1970, 1, 4, tzinfo=UTC)).values[3].tolist()
    [50.0, 51.0, 50.0]
    """
    factors, shares = np.ones(bars.rows), np.ones(bars.rows)
    for action in sorted(actions):
        first = _first_bar(bars, action)
        if action.kind not in kinds or action.known_at > at or not 0 < first < bars.rows:
            continue
        if action.kind == SPLIT:
            factors[:first] /= action.value
            shares[:first] *= action.value
        else:
            factors[:first] *= _dividend_factor(bars.values[_CLOSE, first - 1], action.value)
    if (factors == 1.0).all() and (shares == 1.0).all():
        return bars
    return replace(bars, values=_scaled(bars.values, factors, shares))


def _first_bar(bars: BarArrays, action: CorporateAction) -> int:
    """How many bars are of sessions before the ex-date."""
    midnight = datetime.combine(action.ex_date, time(), UTC)
    microseconds = (midnight - EPOCH) // timedelta(microseconds=1)
    return int(np.searchsorted(bars.starts, microseconds, side="left"))


def _dividend_factor(close: float, dividend: float) -> float:
    return 1.0 - dividend / close if 0.0 < dividend < close else 1.0


def _scaled(values: Floats, factors: Floats, shares: Floats) -> Floats:
    scaled = values * factors
    scaled[_VOLUME] = values[_VOLUME] * shares
    return scaled
