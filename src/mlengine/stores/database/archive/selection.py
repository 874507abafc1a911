"""Which archived predictions are meant; needs no Polars."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Every condition that is given must hold. Values are as the tables keep them.

    `among` has the values that a column may have, `spans` its smallest and largest value, `newest`
    how many of the highest numbers are wanted and `oldest` how many of the lowest. `prefix` is what
    the version begins with, empty for a version without a prefix or for none.
    """

    among: Mapping[str, Collection[object]] = field(default_factory=dict)
    spans: Mapping[str, tuple[int | None, int | None]] = field(default_factory=dict)
    prefix: str | None = None
    newest: int | None = None
    oldest: int | None = None
