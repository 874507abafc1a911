"""The windows that predictions are made of, with the reasons for which they are suspect."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mlengine.core.bars.bars import CleanBars
from mlengine.core.bars.quality import have_usual_values, suspect_reasons
from mlengine.core.calendars.market import MarketDirectory
from mlengine.errors import InsufficientBars, MlengineError
from mlengine.services.bars.served import BarsView, ServedWindow


@dataclass(frozen=True)
class WindowCutter:
    """Cuts the newest bars of series of one interval."""

    interval: str
    markets: MarketDirectory

    def cut(self, symbol: str, view: BarsView, bars: int) -> ServedWindow | InsufficientBars:
        """The last `bars` bars of a view."""
        return self._cut(symbol, view, bars, has_usual_values=False)

    def cut_many(
        self, views: Mapping[str, BarsView | MlengineError], bars: int
    ) -> dict[str, ServedWindow | MlengineError]:
        """`cut` of each view, with one look at the values of all that were not cut before."""
        values = {
            symbol: view.cached.arrays.values[:, view.end - bars : view.end]
            for symbol, view in views.items()
            if isinstance(view, BarsView)
            and 0 < bars <= view.end
            and view.cached.window_at_hand(view.end, bars) is None
        }
        flags = have_usual_values(np.stack(list(values.values()))).tolist() if values else []
        are_usual = dict(zip(values, flags, strict=True))
        return {
            symbol: self._cut(symbol, view, bars, has_usual_values=are_usual.get(symbol, False))
            if isinstance(view, BarsView)
            else view
            for symbol, view in views.items()
        }

    def _cut(
        self, symbol: str, view: BarsView, bars: int, *, has_usual_values: bool
    ) -> ServedWindow | InsufficientBars:
        if view.end < bars:
            return InsufficientBars(symbol, needed=bars, got=view.end)
        window = view.cached.window_at_hand(view.end, bars)
        if window is None:
            reasons = self._reasons(symbol, view, bars, has_usual_values=has_usual_values)
            window = view.cached.window(view.end, bars, reasons)
        return ServedWindow(window, view.origin)

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
