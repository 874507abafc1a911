"""Dataclasses that are made quickly are what `dataclass` makes of them otherwise."""

import inspect
from dataclasses import dataclass, field, replace

from mlengine.core.bars.bars import BarArrays
from mlengine.core.frozen import frozen_by_types


@dataclass(frozen=True)
class Guarded:
    first: int
    second: tuple[str, ...] = ()
    made: list[int] = field(default_factory=list, init=False, repr=False, compare=False)
    last: int = field(default=3, kw_only=True)


@frozen_by_types
@dataclass(frozen=True)
class Quick:
    first: int
    second: tuple[str, ...] = ()
    made: list[int] = field(default_factory=list, init=False, repr=False, compare=False)
    last: int = field(default=3, kw_only=True)


def test_it_is_made_of_the_same_arguments() -> None:
    assert inspect.signature(Quick) == inspect.signature(Guarded)
    assert vars(Quick(1)) == vars(Guarded(1)) == {"first": 1, "second": (), "made": [], "last": 3}
    assert vars(Quick(1, ("a",), last=4)) == vars(Guarded(1, ("a",), last=4))
    assert Quick(1).made is not Quick(1).made


def test_it_compares_hashes_and_is_replaced_by_its_values() -> None:
    assert Quick(1) == Quick(1) != Quick(2)
    assert hash(Quick(1)) == hash(Quick(1))
    assert repr(Quick(1)) == "Quick(first=1, second=(), last=3)"
    assert replace(Quick(1), last=5) == Quick(1, last=5)


def test_another_class_of_it_is_guarded_as_it_says() -> None:
    @dataclass(frozen=True, eq=False)
    class Further(BarArrays):
        note: str = ""

    nothing = BarArrays("A", *([None] * 3))  # type: ignore[arg-type]
    further = Further("A", nothing.starts, nothing.values, nothing.known_at, note="b")
    assert (further.symbol, further.note, further.recorded_by) == ("A", "b", None)
