"""Webhooks that can't be found, added or reached."""

from dataclasses import dataclass
from typing import ClassVar

from mlengine.errors.base import MlengineError


@dataclass(eq=False)
class HookNotFound(MlengineError):
    code: ClassVar[str] = "hook_not_found"

    hook_id: str

    def __str__(self) -> str:
        return f"there is no hook {self.hook_id[:64]!r}"


@dataclass(eq=False)
class TooManyHooks(MlengineError):
    code: ClassVar[str] = "too_many_hooks"
    message: ClassVar[str] = "there are {most} hooks already; remove one first"
    most: int


@dataclass(eq=False)
class TooManyStreams(MlengineError):
    """As many clients follow the events as one web worker serves."""

    code: ClassVar[str] = "too_many_streams"
    message: ClassVar[str] = "too many clients follow the events; try again later"
    retry_after_seconds: int = 5
