"""The one place where concrete parts meet."""

# Installed packages name modules with feature sets in it.
ENTRY_POINT_GROUP = "mlengine.feature_sets"
# They name factories of sources of market data: from AdapterOptions to a MarketData.
MARKET_DATA_GROUP = "mlengine.market_data"
