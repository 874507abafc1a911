"""Delivers a webhook and is killed with -9 before it can write down that it did."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from mlengine.services.hooks.delivery import DeliveryService
from mlengine.stores.database.engine import open_database
from mlengine.stores.hooks.delivery_store import Answer, DeliveryStore
from mlengine.stores.hooks.hook_store import HookStore
from mlengine.stores.hooks.sender import HookSender


@dataclass(frozen=True)
class DyingSender(HookSender):
    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        super().post(url, body, headers)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def main(url: str, now: str) -> None:
    engine, moment = open_database(url), datetime.fromisoformat(now)
    sender = DyingSender(allow_private=True)
    store = DeliveryStore(engine)
    service = DeliveryService(store, HookStore(engine), sender, lambda: moment, lambda: 0.0)
    service.deliver_next(service.due_hooks()[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
