"""What holding the sign of each forecast would have brought, beside holding everything."""

import numpy as np

from mlengine.core.arrays import Floats
from mlengine.core.evaluation import SignRule
from mlengine.core.metrics.block_bootstrap import BlockDraws
from mlengine.core.metrics.correlations import weighted_mean
from mlengine.core.metrics.scored_rows import ScoredRows

_BASIS_POINT = 1e-4


def sign_rule(
    scored: ScoredRows, draws: BlockDraws, *, horizon_bars: int, cost_bps: float
) -> SignRule:
    """Each forecast is held for h bars with 1/h of a symbol's capital, so h of them overlap.

    A bar's return is that of the forecast made at it: its sign times its forward return, divided
    by h. Summed over all forecasts this is what the overlapping positions earn, each tranche
    being held for its h bars without compounding against the others. The position of a symbol at
    a bar is the mean of its last h signs, 0 standing for those before its first forecast, and
    turnover is the change of the position, the first purchase included; what is still held after
    the last forecast isn't sold. A date's figure is the mean over its symbols.
    """
    signs = np.where(scored.predicted_up, 1.0, -1.0)
    rows = scored.sum_by_date(np.ones(len(signs)))
    gross = scored.sum_by_date(signs * scored.forward_returns) / rows / horizon_bars
    turnover = scored.sum_by_date(_turnover(scored, signs, horizon_bars)) / rows
    net = gross - cost_bps * _BASIS_POINT * turnover
    buy_and_hold = scored.sum_by_date(scored.forward_returns) / rows / horizon_bars
    low, high = draws.interval(float(net.mean()), weighted_mean(net, draws.weights))
    return SignRule(
        bars=scored.date_count,
        cost_bps=cost_bps,
        gross_return=float(gross.mean()),
        turnover=float(turnover.mean()),
        net_return=float(net.mean()),
        net_low=low,
        net_high=high,
        buy_and_hold=float(buy_and_hold.mean()),
    )


def _turnover(scored: ScoredRows, signs: Floats, horizon_bars: int) -> Floats:
    """|position - position before| of each row, over the rows of its own symbol.

    The newest sign enters with 1/h and the one of h bars ago leaves with it, so the change is
    their difference / h.
    """
    order = np.lexsort((scored.date_index, scored.symbol_index))
    ordered, symbol = signs[order], scored.symbol_index[order]
    leaving = np.zeros(len(ordered))
    leaving[horizon_bars:] = np.where(
        symbol[horizon_bars:] == symbol[:-horizon_bars], ordered[:-horizon_bars], 0.0
    )
    changed = np.empty(len(ordered))
    changed[order] = np.abs(ordered - leaving) / horizon_bars
    return changed
