"""What the platform leans on and can't have: upstream, queue, database, settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mlengine.errors.base import MlengineError, ReasonError


@dataclass(eq=False)
class UpstreamInvalid(MlengineError):
    """The upstream answered with something that is not market data."""

    code: ClassVar[str] = "upstream_invalid"
    message: ClassVar[str] = "the market-data upstream gave an answer that can't be used: {reason}"
    reason: str


@dataclass(eq=False)
class UpstreamUnavailable(MlengineError):
    code: ClassVar[str] = "upstream_unavailable"
    message: ClassVar[str] = "the market-data upstream can't be reached: {reason}"
    reason: str
    retry_after_seconds: int = 5


@dataclass(eq=False)
class QueueUnavailable(MlengineError):
    code: ClassVar[str] = "queue_unavailable"
    message: ClassVar[str] = "the job queue can't be reached: {reason}"
    reason: str


@dataclass(eq=False)
class AuditUnavailable(MlengineError):
    """The audit store can't be written, so no prediction may be answered."""

    code: ClassVar[str] = "audit_unavailable"
    message: ClassVar[str] = "the audit store can't be used: {reason}"
    reason: str


@dataclass(eq=False)
class ArtifactsUnavailable(MlengineError):
    """The folder of the versions can't be written; what is published already is as it was."""

    code: ClassVar[str] = "artifacts_unavailable"
    message: ClassVar[str] = "the artifacts folder can't be written: {reason}"
    reason: str


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


@dataclass(eq=False)
class CannotWrite(MlengineError):
    """A file that someone asked for can't be written where they wanted it."""

    code: ClassVar[str] = "cannot_write"
    path: str
    error: OSError

    def __str__(self) -> str:
        missing = isinstance(self.error, FileNotFoundError)
        reason = "its folder does not exist" if missing else self.error.strerror or self.error
        return f"{self.path} can't be written: {reason}"
