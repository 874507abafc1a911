"""Delivers webhooks as the worker does, until it is killed; its clock runs faster than others."""

from __future__ import annotations

import sys
import time
from datetime import datetime, timedelta

from mlengine.jobs.hook_dispatcher import HookDispatcher
from mlengine.services.hooks.delivery import DeliveryService
from mlengine.stores.database.engine import open_database
from mlengine.stores.hooks.delivery_store import DeliveryStore
from mlengine.stores.hooks.hook_store import HookStore
from mlengine.stores.hooks.sender import HookSender

_TIMEOUT_SECONDS = 1.0


def clock(begun: str, speed: float) -> datetime:
    """`speed` seconds pass in each of the machine's since `begun`."""
    start = datetime.fromisoformat(begun)
    return start + timedelta(seconds=(time.time() - start.timestamp()) * speed)


def main(url: str, begun: str, speed: str) -> None:
    engine = open_database(url)
    sender = HookSender(allow_private=True, timeout_seconds=_TIMEOUT_SECONDS)
    service = DeliveryService(
        DeliveryStore(engine),
        HookStore(engine),
        sender,
        lambda: clock(begun, float(speed)),
        lambda: 0.0,
    )
    dispatcher = HookDispatcher(service)
    while True:
        dispatcher.tick()
        time.sleep(0.05)


if __name__ == "__main__":
    main(*sys.argv[1:])
