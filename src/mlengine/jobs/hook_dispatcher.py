"""Delivers webhooks in threads of the worker process, one for each hook that has something due."""

import logging
import threading
import time
from dataclasses import dataclass, field

from mlengine.errors import MlengineError
from mlengine.services.hooks.delivery import DeliveryService

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_TICKS = 1.0
_SECONDS_AFTER_A_FAILURE = 10.0
_SECONDS_BETWEEN_PRUNES = 3600.0


@dataclass
class HookDispatcher:
    """A hook that is slow, or down, keeps its own thread and no other hook from its messages."""

    deliveries: DeliveryService
    _busy: set[str] = field(default_factory=set, init=False)
    _stopped: threading.Event = field(default_factory=threading.Event, init=False)
    _prune_at: float = field(default=0.0, init=False)

    def tick(self) -> float:
        """Start a thread for each hook that has none and a message due; returns the next look."""
        try:
            for hook_id in self.deliveries.due_hooks():
                self._start(hook_id)
            self._prune()
        except MlengineError as error:
            log.warning("hooks_not_read", extra={"reason": str(error)})
            return _SECONDS_AFTER_A_FAILURE
        return _SECONDS_BETWEEN_TICKS

    def stop(self) -> None:
        """Begin no other call; one that is made may end, or is made again by another worker."""
        self._stopped.set()

    def _start(self, hook_id: str) -> None:
        if hook_id not in self._busy:
            self._busy.add(hook_id)
            threading.Thread(
                target=self._deliver_due, args=[hook_id], name=f"hook-{hook_id}", daemon=True
            ).start()

    def _deliver_due(self, hook_id: str) -> None:
        try:
            while not self._stopped.is_set() and self.deliveries.deliver_next(hook_id):
                pass
        except MlengineError as error:
            log.warning("hooks_not_read", extra={"hook": hook_id, "reason": str(error)})
        finally:
            self._busy.discard(hook_id)

    def _prune(self) -> None:
        if time.monotonic() >= self._prune_at:
            self._prune_at = time.monotonic() + _SECONDS_BETWEEN_PRUNES
            self.deliveries.prune()
