"""The quality of bars as the upstream serves them now, before anybody trains on them."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from mlengine.core.bars.bars import AffectedCandle
from mlengine.core.bars.quality import SeriesQuality, assess, refused
from mlengine.core.calendars.market import MarketDirectory
from mlengine.errors import DatabaseUnavailable, MlengineError, UpstreamInvalid
from mlengine.services.bars.service import BarService
from mlengine.stores.market_data import MarketData


@dataclass(frozen=True)
class BarQualityService:
    """`lookback`, `window_bars` and `label_bars` are those of a training by default."""

    bars: BarService
    lookback: int
    window_bars: int
    label_bars: int

    def of_source(self, source: MarketData, markets: MarketDirectory) -> "BarQualityService":
        """The same for the bars of another source, whose symbols are of `markets`."""
        return replace(self, bars=replace(self.bars, source=source, markets=markets))

    def check_training_bars(self, symbol: str, *, now: datetime) -> SeriesQuality:
        """Of the bars that a training takes, and of what is recorded; raises as the upstream."""
        symbol = self.bars.markets.canonical(symbol)
        quality = self._assess(symbol, self.lookback, now)
        with suppress(DatabaseUnavailable):
            revised = self.bars.store.revised_bars(self.bars.interval).get(symbol, 0)
            return replace(quality, revised_bars=revised)
        return quality

    def check_full_history(self, symbols: Sequence[str], *, now: datetime) -> list[SeriesQuality]:
        """Of the whole history of each symbol; `refused` where the upstream has none."""
        qualities = []
        for symbol in dict.fromkeys(map(self.bars.markets.canonical, symbols)):
            try:
                qualities.append(self._assess(symbol, 0, now))
            except MlengineError as error:
                qualities.append(refused(symbol, self.bars.interval, str(error)))
        return qualities

    def symbols(self) -> Sequence[str]:
        """All that the source lists; none where it can't."""
        with suppress(OSError, UpstreamInvalid):  # which shows among the refused files
            return self.bars.source.symbols()
        return ()

    def refused_files(self) -> Sequence[tuple[str, str]]:
        """Each file of the source that can't be used, and why."""
        return self.bars.source.refused_files()

    def _assess(self, symbol: str, bars: int, now: datetime) -> SeriesQuality:
        quality = assess(
            symbol,
            self.bars.fetch_bypassing_store(symbol, bars=bars, now=now),
            interval=self.bars.interval,
            market=self.bars.markets.market(symbol),
            window_bars=self.window_bars,
            label_bars=self.label_bars,
            now=now,
        )
        examples = {
            reason: self._as_written(symbol, each) for reason, each in quality.examples.items()
        }
        return replace(quality, examples=examples)

    def _as_written(self, symbol: str, example: AffectedCandle) -> AffectedCandle:
        """With its row, and what stands in the cell where that could not be read."""
        file, line, source = example.file, example.line, self.bars.source
        if file is None or line is None:
            return example
        value = example.value or source.raw_cell(file, line, example.column or "", symbol)
        return replace(example, value=value, row=source.raw_row(file, line))
