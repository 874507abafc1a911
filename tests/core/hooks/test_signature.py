from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from mlengine.core.hooks.signature import (
    message_id,
    message_seq,
    signed_headers,
    write_secret,
)
from mlengine.core.monitoring.messages import Message

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
MESSAGE = Message(7, "model.trained", NOW, '{"type":"model.trained","Grüße":1}')
SECRETS = [write_secret(bytes([number]) * 32) for number in (1, 2)]


def test_the_signature_is_that_of_the_text_of_the_standard():
    """The example of the specification, computed without its package."""
    key = base64.b64decode(SECRETS[0].removeprefix("whsec_"))
    signed = f"msg_x.1767323045.{MESSAGE.body}".encode()
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert signed_headers(MESSAGE, "msg_x", SECRETS[:1], now=NOW) == {
        "webhook-id": "msg_x",
        "webhook-timestamp": "1767323045",
        "webhook-signature": f"v1,{expected}",
    }


def test_during_a_rotation_either_secret_verifies():
    now = datetime.now(UTC)
    headers = signed_headers(MESSAGE, "msg_x", SECRETS, now=now)
    for secret in SECRETS:
        assert Webhook(secret).verify(MESSAGE.body, headers)["type"] == "model.trained"
    with pytest.raises(WebhookVerificationError):
        Webhook(write_secret(b"3" * 32)).verify(MESSAGE.body, headers)


def test_an_old_message_does_not_verify():
    headers = signed_headers(MESSAGE, "m", SECRETS, now=datetime.now(UTC) - timedelta(minutes=6))
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRETS[0]).verify(MESSAGE.body, headers)


def test_an_id_is_of_one_message_of_one_platform():
    ids = {
        message_id(MESSAGE, "one"),
        message_id(MESSAGE, "other"),
        message_id(Message(8, MESSAGE.type, NOW, MESSAGE.body), "one"),
    }
    assert len(ids) == 3
    assert message_id(MESSAGE, "one") in ids
    assert message_seq(message_id(MESSAGE, "one")) == 7


@pytest.mark.parametrize("text", ["", "msg_", "msg_x_y", "msg_1", f"msg_{'1' * 30}_a", "a_1_b"])
def test_what_is_no_id_has_no_number(text):
    assert message_seq(text) is None
