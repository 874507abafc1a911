"""The rows of a test part with dates and symbols numbered, as every metric reads them."""

from dataclasses import dataclass

import numpy as np

from mlengine.core.arrays import Flags, Floats, Indices
from mlengine.core.metrics.actuals import Actuals

# Fewer values say nothing of a correlation or of an order: neither on a date nor of a symbol.
FEWEST_VALUES = 10


@dataclass(frozen=True)
class ScoredRows:
    """Rows in their order; dates (bar timestamps) and symbols are numbered from 0 without gaps.

    `date_index` follows time. A session date may have several timestamps: see `session_dates`.

    `targets` is what `scores` forecast: the forward returns, or the labels where these say how far
    a symbol was ahead of the others. `predicted_up` is the sign that a score stands for.
    """

    scores: Floats
    predicted_up: Flags
    targets: Floats
    forward_returns: Floats
    last_returns: Floats
    date_index: Indices
    symbol_index: Indices
    date_count: int
    symbol_count: int

    @property
    def target_up(self) -> Floats:
        return (self.targets > 0.0).astype(np.float64)

    @property
    def unit_weights(self) -> Floats:
        """Weights that count each date once: a statistic of them is that of the whole part."""
        return np.ones((1, self.date_count))

    def sum_by_date(self, values: Floats) -> Floats:
        """Sums over the rows of each date."""
        return np.bincount(self.date_index, weights=values, minlength=self.date_count).astype(
            np.float64
        )

    def date_by_symbol_table(self, values: Floats) -> Floats:
        """(dates, symbols), 0 where a symbol has no row."""
        table = np.zeros((self.date_count, self.symbol_count))
        table[self.date_index, self.symbol_index] = values
        return table


def build_scored_rows(
    objective: str, *, actuals: Actuals, scores: Floats, transform: str
) -> ScoredRows:
    """Number the dates and symbols of `actuals`."""
    dates, date_index = np.unique(actuals.timestamps, return_inverse=True)
    symbols, symbol_index = np.unique(actuals.symbols, return_inverse=True)
    return ScoredRows(
        scores=scores,
        predicted_up=scores >= 0.5 if objective == "direction" else scores > 0.0,
        targets=actuals.labels if transform == "cs_zscore" else actuals.forward_returns,
        forward_returns=actuals.forward_returns,
        last_returns=actuals.last_returns,
        date_index=date_index,
        symbol_index=symbol_index,
        date_count=len(dates),
        symbol_count=len(symbols),
    )
