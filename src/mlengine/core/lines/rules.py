"""What a line may say of itself."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace

from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.bars.symbols import SYMBOL_RULE, is_symbol
from mlengine.core.lines.line import LineDefinition
from mlengine.core.runs import cron
from mlengine.core.training import bounds
from mlengine.core.training.params import invalid_label_reason, invalid_params
from mlengine.core.training.spec import (
    ACTIVATIONS,
    ENGINES,
    LABELS,
    OBJECTIVES,
    REFITS,
    TrainSpec,
)

_BOUNDS: Mapping[str, tuple[float, float]] = {
    "min_symbols": bounds.MIN_SYMBOLS,
    "lookback": bounds.LOOKBACK,
    "test_size": bounds.TEST_SIZE,
    "seed": bounds.SEED,
    "folds": bounds.FOLDS,
    "train_window": bounds.TRAIN_WINDOW,
    "horizon_bars": bounds.HORIZON_BARS,
    "embargo_bars": bounds.EMBARGO_BARS,
    "label_delay_bars": bounds.LABEL_DELAY_BARS,
    "rounds": bounds.ROUNDS,
    "gate_min_dates": bounds.GATE_MIN_DATES,
    "gate_margin": bounds.GATE_MARGIN,
    "cost_bps": bounds.COST_BPS,
}
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "objective": OBJECTIVES,
    "label": LABELS,
    "activate": ACTIVATIONS,
    "refit": REFITS,
    "engine": ENGINES,
}
_BESIDE = frozenset(("interval", "schedule", "schedule_activate", "note"))
_RECIPE_FIELDS = frozenset(each.name for each in fields(TrainSpec)) - {"interval", "note"}
_MOST_SYMBOLS = 5000
_MOST_NOTE = 1000

Refusals = dict[str, list[str]]


def invalid_definition(definition: LineDefinition, configured: TrainSpec) -> Refusals:
    """Why a definition is refused, by field; nothing where it is not."""
    refusals = {
        f"recipe.{name}": [reason]
        for name, value in definition.recipe.items()
        if (reason := _recipe_refusal(name, value))
    }
    if definition.interval is not None and definition.interval not in INTERVALS:
        refusals["interval"] = [f"must be one of {', '.join(INTERVALS)}"]
    if definition.schedule is not None and not _is_cron(definition.schedule):
        refusals["schedule"] = [f"must be {cron.EXPECTED}"]
    if definition.schedule_activate not in (None, *ACTIVATIONS):
        refusals["schedule_activate"] = [f"must be one of {', '.join(ACTIVATIONS)}"]
    if definition.note is not None and not 0 < len(definition.note) <= _MOST_NOTE:
        refusals["note"] = [f"must have 1 to {_MOST_NOTE} characters"]
    valid = {
        name: value for name, value in definition.recipe.items() if f"recipe.{name}" not in refusals
    }
    return refusals | _contradictions(replace(definition, recipe=valid), configured, refusals)


def _contradictions(
    definition: LineDefinition, configured: TrainSpec, refused: Refusals
) -> Refusals:
    """What does not go together, among fields that are not `refused` themselves."""
    try:
        spec = definition.spec(configured)
    except ValueError as error:
        return {} if refused else {"recipe": [str(error)]}
    found: Refusals = {}
    if not refused.keys() & {"recipe.label", "recipe.objective", "recipe.symbols"}:
        reason = invalid_label_reason(spec)
        found |= {"recipe.label": [reason]} if reason else {}
    if not refused.keys() & {"recipe.min_symbols", "recipe.symbols"}:
        found |= _too_few_symbols(definition, spec)
    return found


def _too_few_symbols(definition: LineDefinition, spec: TrainSpec) -> Refusals:
    """Named is the field that the line says itself."""
    if len(spec.symbols) >= spec.min_symbols:
        return {}
    if "min_symbols" in definition.recipe:
        return {"recipe.min_symbols": [f"is more than the {len(spec.symbols)} symbols"]}
    return {"recipe.symbols": [f"are fewer than the {spec.min_symbols} of min_symbols"]}


def _recipe_refusal(name: str, value: object) -> str | None:
    if name not in _RECIPE_FIELDS:
        beside = "; it stands beside the recipe" if name in _BESIDE else ""
        return f"is no field of a recipe{beside}"
    if name in _BOUNDS:
        return _number_refusal(value, *_BOUNDS[name])
    if name in _CHOICES:
        choices = _CHOICES[name]
        return None if value in choices else f"must be one of {', '.join(choices)}"
    return _OTHERS[name](value)


def _number_refusal(value: object, low: float, high: float) -> str | None:
    whole = isinstance(low, int) and isinstance(high, int)
    kinds = (int,) if whole else (int, float)
    if type(value) in kinds and low <= value <= high:  # type: ignore[operator]
        return None
    return f"must be a {'whole ' if whole else ''}number from {low} to {high}"


def _symbols_refusal(value: object) -> str | None:
    if not isinstance(value, list) or not 1 <= len(value) <= _MOST_SYMBOLS:
        return f"must be a list of 1 to {_MOST_SYMBOLS} symbols"
    if not all(isinstance(each, str) and is_symbol(each) for each in value):
        return f"must be symbols: {SYMBOL_RULE}"
    return None if len(set(value)) == len(value) else "must name each symbol once"


def _params_refusal(value: object) -> str | None:
    if not isinstance(value, Mapping):
        return "must be an object"
    return "; ".join(f"{name} {why}" for name, why in invalid_params(value).items()) or None


def _text_refusal(value: object) -> str | None:
    return None if isinstance(value, str) and value else "must be text"


_OTHERS: Mapping[str, Callable[[object], str | None]] = {
    "symbols": _symbols_refusal,
    "params": _params_refusal,
    "feature_set": _text_refusal,
    "universe_file": _text_refusal,
}


def _is_cron(text: str) -> bool:
    try:
        return cron.parse_cron(text) == text
    except ValueError:
        return False
