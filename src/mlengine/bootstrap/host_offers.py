"""What trainings of model lines can have on this host; loads Polars when that is asked."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from mlengine.config import Settings
from mlengine.errors import BadSetting, CannotStart
from mlengine.services.lines.host_offers import HostOffers
from mlengine.stores.database.clock import host_clock


def build_host_offers(settings: Settings) -> HostOffers:
    """Looks at nothing yet."""
    return HostOffers(partial(_interval_refusal, settings), partial(_feature_windows, settings))


def _interval_refusal(settings: Settings, interval: str, symbols: Sequence[str]) -> str | None:
    """None also where files beside the bars can't be used: that is said by itself."""
    from mlengine.bootstrap.market_data import open_market_data  # noqa: PLC0415 - Polars
    from mlengine.bootstrap.markets import load_markets  # noqa: PLC0415 - Polars
    from mlengine.services.bars.upstream.offered_intervals import (  # noqa: PLC0415 - Polars
        interval_refusal,
    )

    with suppress(BadSetting, CannotStart):
        markets = load_markets(settings)
        source = open_market_data(settings, markets)
        wanted = list(map(markets.canonical, symbols))
        return interval_refusal(source, interval, wanted, now=host_clock())
    return None


def _feature_windows(settings: Settings) -> Mapping[str, int]:
    """Raises BadSetting, where the platform could not start either."""
    from mlengine.bootstrap.feature_sets import load_feature_sets  # noqa: PLC0415 - Polars

    sets = load_feature_sets(settings.feature_sets, wanted=settings.train.feature_set)
    return {name: each.window_bars for name, each in sets.items()}
