"""Which versions may be removed, and what keeps the others."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Pin:
    """Who said that a version must stay, when and why."""

    actor: str
    at: datetime
    reason: str


@dataclass(frozen=True)
class PruneDecision:
    """`kept_as` is `active`, `previous`, `pinned`, `newest` or `audited`; None for what goes."""

    version: str
    kept_as: str | None


def plan_prune(
    versions: Sequence[str],
    *,
    keep_newest: int,
    active: str | None,
    previous: str | None,
    pinned: Collection[str],
    audited: Callable[[str], bool],
) -> tuple[PruneDecision, ...]:
    """What becomes of each version; `versions` are in numeric order.

    The newest always stays, so that its number is never given again; `previous` is what a
    rollback would activate. `audited` is asked only about what nothing else keeps. Raises
    ValueError when none of the newest shall be kept.
    """
    if keep_newest < 1:
        raise ValueError("the newest version must stay")
    newest = frozenset(versions[-keep_newest:])

    def kept_as(version: str) -> str | None:
        if version == active:
            return "active"
        if version == previous:
            return "previous"
        if version in pinned:
            return "pinned"
        if version in newest:
            return "newest"
        return "audited" if audited(version) else None

    return tuple(PruneDecision(version, kept_as(version)) for version in versions)
