"""Bars for a question: from the cache, the upstream or the store."""
