"""Telling others over webhooks."""
