from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from tests.platforms import make_platform, settings

from mlengine.bootstrap import ENTRY_POINT_GROUP
from mlengine.bootstrap.control import require_feature_sets
from mlengine.bootstrap.feature_sets import load_feature_sets
from mlengine.bootstrap.platform import Platform, build_platform
from mlengine.config import Settings
from mlengine.core.features import BUILTIN, CORE
from mlengine.errors import BadSetting, TrainingFailed
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.stores.runs.rows import NewRun

MINE = """
    import polars as pl
    from mlengine.core.features import Feature, FeatureSet

    FEATURE_SETS = [
        FeatureSet(
            name="{name}", version=1, window_bars=3,
            features=(
                Feature(
                    name="step", expr=pl.col("close") / pl.col("close").shift(1), bars=2,
                    formula="close / close[1]", unit="ratio", source="own", doc="A step.",
                ),
            ),
        ),
    ]
"""


Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a module that can be imported, with a name that no other test uses."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, text: str = MINE, **named: str) -> str:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text.format(name="mine", **named)))
        return name

    return write


def install(folder: Path, lines: str) -> None:
    """As much of an installed package as its entry points."""
    info = folder / "own_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{ENTRY_POINT_GROUP}]\n{lines}\n")


def test_without_anything_there_are_the_built_in_sets() -> None:
    assert load_feature_sets([]) == dict(BUILTIN)


def test_a_module_named_by_the_setting_is_found(write: Write) -> None:
    found = load_feature_sets([write("own_sets_a")])
    assert set(found) == {*BUILTIN, "mine"}
    assert found["mine"].names == ("step",)


@pytest.mark.parametrize("value", ["own_sets_b", "own_sets_b:FEATURE_SETS"])
def test_a_module_named_by_an_entry_point_is_found(
    write: Write, tmp_path: Path, value: str
) -> None:
    install(tmp_path, f"own = {write('own_sets_b')}{value.removeprefix('own_sets_b')}")
    assert "mine" in load_feature_sets([])
    assert "mine" in load_feature_sets(["own_sets_b"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1", "AttributeError"),
        ("FEATURE_SETS = 3", "TypeError"),
        ("FEATURE_SETS = ['core']", "FeatureSet objects, not 'core'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit('no\\n way')", "SystemExit: no way"),
        ("import nowhere_to_be_found", "ModuleNotFoundError"),
        ("def", "SyntaxError"),
        ("from mlengine.core.features import FeatureSet as F\n"
         "FEATURE_SETS = [F(name='a', version=1, window_bars=0, features=[]).features[0]]",
         "IndexError"),
    ],
)  # fmt: skip
def test_whatever_a_module_does_wrong_is_one_line(
    write: Write, tmp_path: Path, text: str, said: str, request: pytest.FixtureRequest
) -> None:
    name = write(f"own_sets_wrong_{abs(hash(request.node.name))}", text)
    with pytest.raises(BadSetting) as refused:
        load_feature_sets([name])
    assert str(refused.value).startswith(f"FEATURE_SETS='{name}': expected ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    install(tmp_path, f"own = {name}")
    with pytest.raises(BadSetting, match=f"{ENTRY_POINT_GROUP} own='{name}'"):
        load_feature_sets([])


@pytest.mark.parametrize("name", ["nowhere_to_be_found", "a..b", ".relative", "a b", "os.path.x"])
def test_a_module_that_is_none_is_one_line(name: str) -> None:
    with pytest.raises(BadSetting, match="FEATURE_SETS"):
        load_feature_sets([name])


def test_no_set_may_hide_another(write: Write) -> None:
    write("own_sets_c")
    write("own_sets_d", MINE.replace("version=1", "version=2"))
    with pytest.raises(BadSetting, match="one set named 'mine', not two"):
        load_feature_sets(["own_sets_c", "own_sets_d"])
    write("own_sets_e", MINE.replace('"{name}"', '"core"'))
    with pytest.raises(BadSetting, match="one set named 'core', not two"):
        load_feature_sets(["own_sets_e"])
    assert load_feature_sets([])["core"] is CORE


def test_a_name_that_no_request_could_give_is_refused(write: Write) -> None:
    name = write("own_sets_f", MINE.replace('"{name}"', '"my set"'))
    with pytest.raises(BadSetting, match="not 'my set'"):
        load_feature_sets([name])


def test_a_set_to_train_with_must_exist(write: Write, tmp_path: Path) -> None:
    module = write("own_sets_g")
    with pytest.raises(BadSetting, match=r"'other': expected one of .*core, mine"):
        build_platform(settings(tmp_path, FEATURE_SETS=module, TRAIN_FEATURE_SET="other"))


def train(platform: Platform, run_id: str) -> str:
    """A queued run, carried out here."""
    now = datetime.now(UTC)
    spec = dataclasses.replace(platform.control.runs.defaults, activate="always")
    text = orjson.dumps(spec.to_dict()).decode()
    platform.control.run_store.create(
        NewRun(run_id=run_id, spec=text, actor="ann", request_id="r"), now=now
    )
    return platform.run_executor.execute(run_id)


def test_a_set_of_the_user_is_trained_with_and_served(write: Write, tmp_path: Path) -> None:
    module = write("own_sets_h")
    platform = make_platform(tmp_path, models=0, FEATURE_SETS=module, TRAIN_FEATURE_SET="mine")
    assert train(platform, "run1") == "v1"
    now = datetime.now(UTC)
    answer = platform.predict.predict(
        "AAA", PredictionRequest(explain=True, request_id="r", now=now)
    )
    table = platform.features.table("AAA", limit=1, as_of=None, feature_set=None, now=now)
    assert answer.feature_set == table.feature_set
    assert answer.contributions is not None
    assert [part.value for part in answer.contributions] == [table.rows["step"].item()]


def test_a_set_of_the_user_that_leaks_trains_nothing(write: Write, tmp_path: Path) -> None:
    module = write("own_sets_i", MINE.replace(".shift(1)", ".shift(-1)"))
    platform = make_platform(tmp_path, models=0, FEATURE_SETS=module, TRAIN_FEATURE_SET="mine")
    with pytest.raises(TrainingFailed):
        train(platform, "run1")
    run = platform.control.runs.get("run1", now=datetime.now(UTC))
    assert run.state == "failed"
    assert "'step' fails the test 'future' at AAA 20" in str(run.error)
    assert platform.models.list().models == ()


def test_a_set_that_nobody_has_is_refused_before_anything_starts() -> None:
    require_feature_sets(Settings.from_env({}))
    with pytest.raises(BadSetting, match="TRAIN_FEATURE_SET='nobodys': expected one of"):
        require_feature_sets(Settings.from_env({"TRAIN_FEATURE_SET": "nobodys"}))
