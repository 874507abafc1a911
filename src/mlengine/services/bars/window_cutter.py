"""The windows that predictions are made of, with the reasons for which they are suspect."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from mlengine.core.bars.bars import CleanBars
from mlengine.core.bars.quality import have_usual_values, suspect_reasons
from mlengine.core.calendars.market import MarketDirectory
from mlengine.errors import InsufficientBars, MlengineError
from mlengine.services.bars.served import BarsView, ServedWindow

# More would need memory that the process has not had before, which costs more than to look at it.
_WINDOWS_AT_ONCE = 32


@dataclass(frozen=True)
class WindowCutter:
    """Cuts the newest bars of series of one interval."""

    interval: str
    markets: MarketDirectory

    def cut(self, symbol: str, view: BarsView, bars: int) -> ServedWindow | InsufficientBars:
        """The last `bars` bars of a view."""
        (cut,) = self.cut_many({symbol: view}, bars).values()
        return cast("ServedWindow | InsufficientBars", cut)

    def cut_many(
        self, views: Mapping[str, BarsView | MlengineError], bars: int
    ) -> dict[str, ServedWindow | MlengineError]:
        """`cut` of each view, with one look at the values of all that were not cut before."""
        results: dict[str, ServedWindow | MlengineError] = {}
        pending: dict[str, BarsView] = {}
        for symbol, view in views.items():
            if not isinstance(view, BarsView):
                results[symbol] = view
                continue
            cached, end, origin = view
            if end < bars:
                results[symbol] = InsufficientBars(symbol, needed=bars, got=end)
            elif window := cached.window_at_hand(end, bars):
                results[symbol] = ServedWindow(window, origin)
            else:
                pending[symbol] = view
        are_usual = _have_usual_values(list(pending.values()), bars)
        for (symbol, view), is_usual in zip(pending.items(), are_usual, strict=True):
            reasons = self._reasons(symbol, view, bars, has_usual_values=is_usual)
            window = view.cached.window(view.end, bars, reasons)
            results[symbol] = ServedWindow(window, view.origin)
        return results

    def _reasons(
        self, symbol: str, view: BarsView, bars: int, *, has_usual_values: bool
    ) -> tuple[str, ...]:
        clean, end = view.cached.clean, view.end
        if end < len(clean.arrays.starts):
            clean = CleanBars(clean.arrays.slice(0, end), clean.report)
        return suspect_reasons(
            clean,
            bars,
            interval=self.interval,
            market=self.markets.market(symbol),
            has_usual_values=has_usual_values,
        )


def _have_usual_values(views: Sequence[BarsView], bars: int) -> list[bool]:
    if not bars:
        return [False] * len(views)
    values = [each.cached.clean.arrays.values[:, each.end - bars : each.end] for each in views]
    usual: list[bool] = []
    for first in range(0, len(values), _WINDOWS_AT_ONCE):
        usual += have_usual_values(np.stack(values[first : first + _WINDOWS_AT_ONCE])).tolist()
    return usual
