"""What a host has for the trainings of model lines, and what a line asks for in vain."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.lines.line import LineDefinition
from mlengine.core.lines.rules import Refusals
from mlengine.core.training.spec import TrainSpec
from mlengine.stores.system.preflight import unreadable_universe

# A look-back of more bars holds the window of any set; knowing the windows takes Polars.
_SHORT_LOOKBACK = 2_000
_OF_ONE_ROW = {"feature_set", "lookback", "horizon_bars", "label_delay_bars"}


@dataclass(frozen=True)
class HostOffers:
    """Why the source has no bars of an interval for any of these symbols, if it has none.

    And the `window_bars` of each feature set by its name. Either is asked for only where a
    definition depends on it. `engine_refusals` says of each engine that is not there why.
    """

    interval_refusal: Callable[[str, Sequence[str]], str | None]
    feature_windows: Callable[[], Mapping[str, int]]
    engine_refusals: Mapping[str, str] = field(default_factory=dict)

    def unmet(self, definition: LineDefinition, configured: TrainSpec) -> Refusals:
        """Why a training of it here could only fail, by field; what is no value is passed over."""
        refusals = self._interval_refusal(definition, configured)
        path = definition.recipe.get("universe_file")
        if isinstance(path, str) and (reason := unreadable_universe(path)):
            refusals["recipe.universe_file"] = [reason]
        if reason := self.engine_refusals.get(str(definition.recipe.get("engine"))):
            refusals["recipe.engine"] = [reason]
        return refusals | self._feature_refusal(definition, configured)

    def _interval_refusal(self, definition: LineDefinition, configured: TrainSpec) -> Refusals:
        interval = definition.interval
        if interval is None or interval == configured.interval or interval not in INTERVALS:
            return {}
        symbols = definition.recipe.get("symbols", configured.symbols)
        named = [each for each in symbols if isinstance(each, str)] if _is_list(symbols) else []
        reason = self.interval_refusal(interval, named)
        return {"interval": [reason]} if reason else {}

    def _feature_refusal(self, definition: LineDefinition, configured: TrainSpec) -> Refusals:
        name = definition.recipe.get("feature_set")
        lookback = self._short_lookback(definition, configured)
        if name is None and not lookback:
            return {}
        windows = self.feature_windows()
        if isinstance(name, str) and name and name not in windows:
            return {"recipe.feature_set": [f"must be one of {', '.join(sorted(windows))}"]}
        if not lookback:
            return {}
        spec = definition.spec(configured)
        needed = windows.get(spec.feature_set, 0) + spec.horizon_bars + spec.label_delay_bars
        if lookback >= needed:
            return {}
        return {"recipe.lookback": [f"is too short: one labelled row needs {needed} bars"]}

    def _short_lookback(self, definition: LineDefinition, configured: TrainSpec) -> int:
        """0 where the line itself says nothing of it, or so much that any window goes into it."""
        if not definition.recipe.keys() & _OF_ONE_ROW:
            return 0
        try:
            lookback = definition.spec(configured).lookback
        except ValueError:  # the grammar refuses it
            return 0
        return lookback if 0 < lookback < _SHORT_LOOKBACK else 0


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, list | tuple)
