"""What every error of the platform is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


class MlengineError(Exception):
    """Base of every error that the platform raises on purpose."""

    code: ClassVar[str] = "internal"


@dataclass(eq=False)
class ReasonError(MlengineError):
    """An error whose one fact is a sentence."""

    reason: str

    def __str__(self) -> str:
        return self.reason
