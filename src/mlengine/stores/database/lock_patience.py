"""How long a process waits for others that write to the database: once, and then no more a while.

While a lock stays, the first to meet it waits; those who come within a second after are refused at
once, so that several writes for one answer, and many answers at once, cost that one wait together.
"""

import time
from dataclasses import dataclass, field
from typing import cast

from sqlalchemy import Engine

_PATIENCE = "mlengine_lock_patience"
_LOCKED_SECONDS = 1.0


@dataclass
class LockPatience:
    """`most_seconds` is None for a process that no client waits for: it waits as it likes."""

    most_seconds: float | None = None
    _locked_at: float = field(default=float("-inf"), init=False)

    def seconds(self, wanted: float | None) -> float | None:
        """How long to wait now instead of `wanted`, which is None for the engine's own wait."""
        if self.most_seconds is None:
            return wanted
        if self.is_locked:
            return 0.0
        return self.most_seconds if wanted is None else min(wanted, self.most_seconds)

    @property
    def is_locked(self) -> bool:
        """Whether somebody has just waited in vain, where waits are limited."""
        age = time.monotonic() - self._locked_at
        return self.most_seconds is not None and age < _LOCKED_SECONDS

    def record_locked(self) -> None:
        """Somebody has waited in vain; those who did not wait don't prolong it."""
        if not self.is_locked:
            self._locked_at = time.monotonic()


def patience_of(engine: Engine) -> LockPatience:
    """The one that `open_database` gave the engine."""
    return cast("LockPatience", engine.get_execution_options()[_PATIENCE])


def give_patience(engine: Engine) -> None:
    engine.update_execution_options(**{_PATIENCE: LockPatience()})
