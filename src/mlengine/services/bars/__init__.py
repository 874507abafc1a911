"""Bars from the upstream to a model: `windows` of many symbols, `service`, `fetcher`."""
