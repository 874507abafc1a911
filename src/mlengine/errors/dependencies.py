"""What the platform depends on and can't use: upstream, queue, database, artifacts."""

from dataclasses import dataclass
from typing import ClassVar

from mlengine.errors.base import MlengineError


@dataclass(eq=False)
class UpstreamInvalid(MlengineError):
    """The upstream answered with something that is not market data.

    Or, where `is_refusal`, that it won't answer: to a key that is revoked, for one.
    """

    code: ClassVar[str] = "upstream_invalid"
    message: ClassVar[str] = "the market-data upstream gave an answer that can't be used: {reason}"
    reason: str
    is_refusal: bool = False


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
class DatabaseUnavailable(MlengineError):
    """The database can't be used; a prediction that can't be audited may not be answered."""

    code: ClassVar[str] = "audit_unavailable"
    message: ClassVar[str] = "the audit store can't be used: {reason}"
    never_started: ClassVar[str] = (
        "it is not there yet; `mlengine up` or `mlengine migrate` makes it"
    )
    reason: str


class DamagedRow(DatabaseUnavailable):
    """A value in the database is none that was written there."""

    def __init__(self) -> None:
        super().__init__("its file is damaged")


@dataclass(eq=False)
class ArtifactsUnavailable(MlengineError):
    """The folder of the versions can't be written; what is published already is as it was."""

    code: ClassVar[str] = "artifacts_unavailable"
    message: ClassVar[str] = "the artifacts folder can't be written: {reason}"
    reason: str


@dataclass(eq=False)
class RegistryUnavailable(ArtifactsUnavailable):
    """The object storage of a shared registry; what this host has of it goes on serving."""

    message: ClassVar[str] = "the registry of REGISTRY_URL can't be used: {reason}"
