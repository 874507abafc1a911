"""The bodies of answers that say what was done, and by whom."""

from __future__ import annotations

from typing import Literal, TypedDict


class AcceptedRun(TypedDict):
    run_id: str
    state: Literal["queued"]
    actor: str


class CancelledRun(TypedDict):
    run_id: str
    state: Literal["cancelled"]
    actor: str


class Reloaded(TypedDict):
    loaded_version: str
    fingerprint: str
    generation: int | None
    keys: Literal["ok", "degraded"]
    lines: tuple[str, ...]
    actor: str


class Cleared(TypedDict):
    cleared: int
    actor: str
