"""Webhooks: who gets them, what was delivered, and the call itself."""
