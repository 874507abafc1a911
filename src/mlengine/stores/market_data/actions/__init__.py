"""Where corporate actions come from: a file beside those of bars, and a route beside candles."""
