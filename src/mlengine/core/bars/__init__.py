"""Bars: what they are, which candles are bars, and what was known when."""
