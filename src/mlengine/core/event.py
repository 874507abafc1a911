"""What happened to the platform: the rows behind `/monitoring/history`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event; `generation` is set where it changed which model is active."""

    kind: str
    at: datetime
    version: str | None
    actor: str | None
    details: Mapping[str, object]
    generation: int | None = None
