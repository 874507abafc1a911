"""A model line: models of one purpose, with a recipe, a schedule, versions and a champion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, TypeAlias

from mlengine.core import serialization
from mlengine.core.training.spec import TrainSpec

LineState: TypeAlias = Literal["active", "retired"]


@dataclass(frozen=True, kw_only=True)
class LineDefinition:
    """What its owner says of a line; what is not said is as the platform is configured.

    `recipe` has fields of a TrainSpec but `interval`, which is that of its bars. `schedule` is a
    cron expression, whose trainings have the policy `schedule_activate`.
    """

    recipe: Mapping[str, object] = field(default_factory=dict)
    interval: str | None = None
    schedule: str | None = None
    schedule_activate: str | None = None
    note: str | None = None

    def spec(self, configured: TrainSpec) -> TrainSpec:
        """Its recipe where the platform's is `configured`; raises ValueError for other fields."""
        spec = TrainSpec.from_dict({**configured.to_dict(), **self.recipe})
        return replace(spec, interval=self.interval or configured.interval)

    def to_dict(self) -> dict[str, object]:
        """Plain JSON values."""
        return {**serialization.to_plain(self)}  # type: ignore[dict-item]

    @classmethod
    def from_dict(cls, fields: Mapping[str, object]) -> LineDefinition:
        """The inverse of `to_dict`, where each field may be missing; raises ValueError."""
        texts, recipe = dict(fields), fields.get("recipe", {})
        texts.pop("recipe", None)
        if not isinstance(recipe, Mapping):
            raise ValueError("recipe: an object is expected")  # noqa: TRY004
        if not texts.keys() <= set(_TEXTS):
            raise ValueError(f"other fields than recipe, {', '.join(_TEXTS)}")
        if not all(isinstance(text, str | None) for text in texts.values()):
            raise ValueError(f"beside recipe, {', '.join(_TEXTS)} are text")
        return cls(recipe=dict(recipe), **texts)  # type: ignore[arg-type]


_TEXTS = ("interval", "schedule", "schedule_activate", "note")


@dataclass(frozen=True, kw_only=True)
class ModelLine:
    """A line beside `main`; `revision` counts its changes, `actor` made the last one.

    `file_sha256` is the digest of the file that it was last taken from, if any.
    """

    name: str
    state: LineState
    revision: int
    definition: LineDefinition
    created_at: datetime
    changed_at: datetime
    actor: str
    file_sha256: str | None = None

    @property
    def is_retired(self) -> bool:
        return self.state == "retired"
