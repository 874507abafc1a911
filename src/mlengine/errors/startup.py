"""What keeps the platform from starting: a setting, or the machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from mlengine.errors.base import MlengineError, ReasonError


@dataclass(eq=False)
class BadSetting(MlengineError):
    code: ClassVar[str] = "bad_setting"
    message: ClassVar[str] = "{variable}={value!r}: expected {expected}"
    variable: str
    value: str
    expected: str


class CannotStart(ReasonError):
    """A part of the platform can't start on this machine; says what to do."""

    code: ClassVar[str] = "cannot_start"


class RefusedLineFiles(CannotStart):
    """Files of model lines that can't be taken in; each of `refusals` names one, and the field."""

    def __init__(self, refusals: Sequence[str]) -> None:
        super().__init__("; ".join(refusals))
        self.refusals = tuple(refusals)
