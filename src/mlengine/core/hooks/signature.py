"""The headers by which who gets a message knows whose it is (Standard Webhooks 1.0)."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime

from standardwebhooks.webhooks import Webhook

from mlengine.core.monitoring.messages import Message

SECRET_BYTES, _ID_BYTES = 32, 5
_PREFIX = "whsec_"


def new_hook_id(random_bytes: Callable[[int], bytes]) -> str:
    """The name of a hook, made of some random bytes."""
    return f"hook_{random_bytes(_ID_BYTES).hex()}"


def write_secret(secret: bytes) -> str:
    """The secret as both sides keep it."""
    return _PREFIX + base64.b64encode(secret).decode()


def message_id(message: Message, platform_id: str) -> str:
    """The same at each attempt, and of no other message, of whichever platform.

    It begins with the number of the message, which `message_seq` reads.
    """
    content = f"{platform_id}.{message.seq}.{message.body}".encode()
    return f"msg_{message.seq}_{hashlib.sha256(content).hexdigest()[:16]}"


def message_seq(text: str) -> int | None:
    """The number of the message with this id, None for what is no id."""
    parts = text.split("_")
    is_id = len(parts) == 3 and parts[0] == "msg" and parts[1].isascii() and parts[1].isdigit()
    return int(parts[1]) if is_id and len(parts[1]) < 19 else None


def signed_headers(
    message: Message, message_id: str, secrets: Sequence[str], *, now: datetime
) -> dict[str, str]:
    """The headers of an attempt at `now`; a signature by each secret."""
    signatures = [Webhook(secret).sign(message_id, now, message.body) for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
