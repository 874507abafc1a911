"""Refusals of what was asked, or of who asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from mlengine.errors.base import MlengineError, ReasonError


@dataclass(eq=False)
class InvalidRequest(MlengineError):
    """A value was understood and refused; `errors` names each field."""

    code: ClassVar[str] = "invalid_request"
    errors: Mapping[str, Sequence[str]]

    def __str__(self) -> str:
        return "; ".join(f"{name}: {' '.join(reasons)}" for name, reasons in self.errors.items())


@dataclass(eq=False)
class UnknownSymbol(MlengineError):
    code: ClassVar[str] = "unknown_symbol"
    message: ClassVar[str] = "the upstream knows no symbol {symbol!r}"
    symbol: str


@dataclass(eq=False)
class PredictionNotFound(MlengineError):
    """`spooled` says that rows wait beside the tables, and it may be one of them."""

    code: ClassVar[str] = "prediction_not_found"
    prediction_id: str
    spooled: bool = False

    def __str__(self) -> str:
        spooled = "; it may wait in the audit's spool" if self.spooled else ""
        return f"there is no prediction {self.prediction_id[:64]!r}{spooled}"


@dataclass(eq=False)
class ExportNotFound(MlengineError):
    """There is no such export any more, or it has no file: it is not `ready`."""

    code: ClassVar[str] = "export_not_found"
    export_id: str
    state: str | None = None

    def __str__(self) -> str:
        if self.state is not None:
            return f"the export {self.export_id[:64]!r} is {self.state}: it has no file"
        return f"there is no export {self.export_id[:64]!r}"


@dataclass(eq=False)
class InsufficientBars(MlengineError):
    code: ClassVar[str] = "insufficient_bars"
    symbol: str
    needed: int
    got: int
    first_possible: datetime | None = None

    def __str__(self) -> str:
        message = f"{self.symbol!r} has {self.got} final bars by then, {self.needed} are needed"
        if self.first_possible is None:
            return message
        return f"{message}; the first possible moment is {self.first_possible:%Y-%m-%dT%H:%M:%SZ}"


class Unauthorized(ReasonError):
    code: ClassVar[str] = "unauthorized"


@dataclass(eq=False)
class TooManyFailedKeys(MlengineError):
    """An address has presented too many keys that are none."""

    code: ClassVar[str] = "rate_limited"
    message: ClassVar[str] = "too many keys from this address were wrong; Retry-After says when"
    retry_after_seconds: int


class Forbidden(ReasonError):
    code: ClassVar[str] = "forbidden"


class AdminDisabled(MlengineError):
    code: ClassVar[str] = "admin_disabled"
    message: ClassVar[str] = "admin routes are off: neither ADMIN_API_KEY nor API_KEYS_FILE is set"


@dataclass(eq=False)
class CannotWrite(MlengineError):
    """A file that someone asked for can't be written where they wanted it."""

    code: ClassVar[str] = "cannot_write"
    message: ClassVar[str] = "{path} can't be written: {reason}"
    path: str
    reason: str
