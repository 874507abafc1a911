from __future__ import annotations

import pytest

from mlengine.config import Settings
from mlengine.core.training import bounds
from mlengine.errors import BadSetting
from mlengine.web.schemas.admin import TrainBody

VARIABLES = {
    "lookback": "TRAIN_LOOKBACK",
    "test_size": "TRAIN_TEST_SIZE",
    "seed": "TRAIN_RANDOM_STATE",
    "folds": "TRAIN_CV_FOLDS",
    "train_window": "TRAIN_WINDOW",
    "horizon_bars": "TRAIN_HORIZON",
    "embargo_bars": "TRAIN_EMBARGO",
    "label_delay_bars": "TRAIN_LABEL_DELAY",
    "rounds": "TRAIN_ROUNDS",
    "gate_min_dates": "TRAIN_GATE_MIN_DATES",
    "gate_margin": "TRAIN_GATE_MARGIN",
    "cost_bps": "TRAIN_COST_BPS",
}


@pytest.mark.parametrize("field", VARIABLES)
def test_a_setting_and_a_request_take_the_same_numbers(field: str) -> None:
    low, high = getattr(bounds, field.upper())
    variable = VARIABLES[field]
    for number in (low, high):
        assert getattr(Settings.from_env({variable: str(number)}).train, field) == number
        assert TrainBody().load({field: number})[field] == number
    for number in (low - 1, high + 1):
        assert set(TrainBody().validate({field: number})) == {field}
        with pytest.raises(BadSetting, match=variable):
            Settings.from_env({variable: str(number)})


@pytest.mark.parametrize("symbol", ["BTC-USD", "^GSPC", "a" * 33, "A\u0663"])
def test_a_setting_and_a_request_take_the_same_symbols(symbol: str) -> None:
    try:
        taken = Settings.from_env({"TRAIN_SYMBOLS": symbol}).train.symbols == (symbol,)
    except BadSetting:
        taken = False
    assert taken is not bool(TrainBody().validate({"symbols": [symbol]}))
