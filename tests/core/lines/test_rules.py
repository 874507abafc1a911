from __future__ import annotations

from dataclasses import replace

import pytest
from tests.web.platform import SPEC

from mlengine.core.line_names import is_line_name, split_version_key, version_key
from mlengine.core.lines.line import LineDefinition
from mlengine.core.lines.rules import invalid_definition


def test_a_line_says_what_differs_and_the_rest_is_as_configured():
    definition = LineDefinition(
        recipe={"horizon_bars": 10, "symbols": ["AAA", "BBB"], "params": {"max_bin": 63}},
        interval="1h",
    )
    spec = definition.spec(SPEC)
    assert (spec.horizon_bars, spec.symbols, spec.interval) == (10, ("AAA", "BBB"), "1h")
    assert (spec.seed, spec.activate) == (SPEC.seed, SPEC.activate)
    assert invalid_definition(definition, SPEC) == {}
    assert LineDefinition().spec(SPEC) == SPEC


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"recipe": {"horizon": 5}}, "recipe.horizon"),
        ({"recipe": {"interval": "1h"}}, "recipe.interval"),
        ({"recipe": {"horizon_bars": 0}}, "recipe.horizon_bars"),
        ({"recipe": {"horizon_bars": 2.5}}, "recipe.horizon_bars"),
        ({"recipe": {"horizon_bars": True}}, "recipe.horizon_bars"),
        ({"recipe": {"test_size": 0.9}}, "recipe.test_size"),
        ({"recipe": {"objective": "sharpe"}}, "recipe.objective"),
        ({"recipe": {"symbols": []}}, "recipe.symbols"),
        ({"recipe": {"symbols": [""]}}, "recipe.symbols"),
        ({"recipe": {"symbols": ["AAA", "AAA"]}}, "recipe.symbols"),
        ({"recipe": {"params": {"seed": 3}}}, "recipe.params"),
        ({"recipe": {"params": 3}}, "recipe.params"),
        ({"recipe": {"feature_set": ""}}, "recipe.feature_set"),
        ({"recipe": {"label": "cs_zscore"}}, "recipe.label"),
        ({"interval": "2d"}, "interval"),
        ({"schedule": "every day"}, "schedule"),
        ({"schedule": "0  2 * * *"}, "schedule"),
        ({"schedule_activate": "maybe"}, "schedule_activate"),
        ({"note": ""}, "note"),
    ],
)
def test_what_a_line_may_not_say_is_refused_by_its_field(fields, refused):
    assert list(invalid_definition(LineDefinition.from_dict(fields), SPEC)) == [refused]


def test_a_field_that_stands_beside_the_recipe_is_told_its_place():
    (reason,) = invalid_definition(LineDefinition(recipe={"interval": "1h"}), SPEC)[
        "recipe.interval"
    ]
    assert reason == "is no field of a recipe; it stands beside the recipe"


@pytest.mark.parametrize(
    ("recipe", "refused"),
    [
        ({"min_symbols": 3}, {"recipe.min_symbols": ["is more than the 2 symbols"]}),
        ({"symbols": ["AAA"], "min_symbols": 1}, {}),
        (
            {"symbols": ["AAA"]},
            {"recipe.symbols": ["are fewer than the 2 of min_symbols"]},
        ),
    ],
)
def test_a_line_has_the_symbols_that_a_training_needs(recipe, refused):
    configured = replace(SPEC, min_symbols=2)
    assert invalid_definition(LineDefinition(recipe=recipe), configured) == refused


def test_all_that_is_refused_is_named_at_once():
    recipe = {"horizon": 5, "rounds": 0, "label": "cs_zscore", "min_symbols": 9}
    definition = LineDefinition(recipe=recipe, interval="2d", schedule="now", note="")
    assert sorted(invalid_definition(definition, SPEC)) == [
        *("interval", "note", "recipe.horizon", "recipe.label", "recipe.min_symbols"),
        *("recipe.rounds", "schedule"),
    ]
    vague = {"symbols": [], "label": "cs_zscore", "min_symbols": 9}
    assert list(invalid_definition(LineDefinition(recipe=vague), SPEC)) == ["recipe.symbols"]


@pytest.mark.parametrize(
    "fields", [{"recipe": 3}, {"colour": "red"}, {"interval": 3}, {"note": ["a"]}]
)
def test_what_is_no_definition_is_none(fields):
    with pytest.raises(ValueError, match=r"recipe"):
        LineDefinition.from_dict(fields)


def test_a_definition_comes_back_from_its_plain_form():
    definition = LineDefinition(
        recipe={"rounds": 5},
        interval="1h",
        schedule="0 2 * * *",
        schedule_activate="never",
        note="n",
    )
    assert LineDefinition.from_dict(definition.to_dict()) == definition


def test_names_of_lines_and_keys_of_their_versions():
    assert is_line_name("momentum-10d")
    assert not any(map(is_line_name, ("", "Momentum", "1d", "a/b", "a.b", "a" * 33, "a\n")))
    for line in ("main", "momentum"):
        assert split_version_key(version_key(line, "v12")) == (line, "v12")
    assert split_version_key(version_key("momentum", "")) == ("momentum", "")
