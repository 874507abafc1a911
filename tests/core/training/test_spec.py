import dataclasses
import json

import pytest

from mlengine.core.training.spec import TrainSpec

SPEC = TrainSpec(
    symbols=("AAPL", "BTC-USD"),
    lookback=2520,
    test_size=0.2,
    seed=42,
    folds=5,
    horizon_bars=5,
    embargo_bars=0,
    objective="direction",
    feature_set="core",
    activate="if_better",
    refit="none",
    label_delay_bars=0,
    interval="1d",
)


def test_a_spec_survives_json():
    assert TrainSpec.from_dict(json.loads(json.dumps(SPEC.to_dict()))) == SPEC


def test_a_whole_number_may_stand_for_a_share_of_dates():
    assert TrainSpec.from_dict({**SPEC.to_dict(), "test_size": 1}).test_size == 1.0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"lookback": "2520"}, "lookback"),
        ({"lookback": True}, "lookback"),
        ({"symbols": "AAPL"}, "symbols"),
        ({"symbols": [1]}, "symbols"),
        ({"colour": "red"}, "TrainSpec"),
    ],
)
def test_anything_else_is_refused_by_name(change, field):
    with pytest.raises(ValueError, match=f"^{field}: "):
        TrainSpec.from_dict({**SPEC.to_dict(), **change})


def test_a_field_that_came_later_is_written_only_where_it_says_something():
    later = dataclasses.replace(SPEC, min_symbols=2)
    assert "min_symbols" not in SPEC.to_dict()
    assert TrainSpec.from_dict(SPEC.to_dict()) == SPEC
    assert TrainSpec.from_dict(later.to_dict()) == later


def test_no_field_may_be_missing():
    fields = dataclasses.fields(TrainSpec)
    for name in (f.name for f in fields if not f.metadata.get("optional")):
        said = SPEC.to_dict()
        del said[name]
        with pytest.raises(ValueError, match="other fields"):
            TrainSpec.from_dict(said)


def test_the_engine_is_part_of_a_recipe_and_leaves_those_of_one_process_as_they_were():
    assert "engine" not in SPEC.to_dict()
    before = "e241db0d70ec6c1c9df67f45e20a77f9efc40f466b00fb447e4072751fbb4da9"
    assert SPEC.recipe_sha256("ab" * 32) == before
    shared = dataclasses.replace(SPEC, engine="dask")
    assert TrainSpec.from_dict(shared.to_dict()) == shared
    assert shared.recipe_sha256("ab" * 32) != before
    assert (SPEC.is_reproducible, shared.is_reproducible) == (True, False)
