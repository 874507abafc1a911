"""What every error of the platform is."""

from dataclasses import dataclass
from typing import ClassVar


class MlengineError(Exception):
    """Every error that the platform raises on purpose; its fields fill `message`."""

    code: ClassVar[str] = "internal"
    message: ClassVar[str]

    def __str__(self) -> str:
        return self.message.format(**vars(self)) if hasattr(self, "message") else super().__str__()


@dataclass(eq=False)
class ReasonError(MlengineError):
    """An error whose one fact is a sentence."""

    message: ClassVar[str] = "{reason}"
    reason: str
