"""The id of a request: its header, and a new one. Light, for gunicorn's master loads it too."""

import secrets

HEADER = "X-Request-ID"


def new_request_id() -> str:
    """32 hexadecimal digits."""
    return secrets.token_hex(16)
