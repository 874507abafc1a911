from __future__ import annotations

from pathlib import Path

import pytest
from tests.settings_read import settings_read

from mlengine.config import Settings, environment_for_child, load_from_environment
from mlengine.errors import BadSetting

ROOT = Path(__file__).parents[2]
LONG_KEY = "k" * 32


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    settings = Settings.from_env({})

    assert settings.env == "development"
    assert settings.train.symbols == ("AAPL", "GOOG", "IBM", "MSFT")
    assert settings.train.lookback == 2520
    assert settings.port == 8000
    assert settings.host == "127.0.0.1"
    assert settings.market_data_kind == "sample"
    assert settings.public_activation
    assert settings.admin_api_keys == {}
    assert settings.audit_database_url == f"sqlite:///{settings.artifacts_dir}/audit.db"


def test_an_empty_value_means_unset() -> None:
    assert Settings.from_env(dict.fromkeys(settings_read(), " ")) == Settings.from_env({})


def test_the_upstream_follows_from_its_address() -> None:
    assert Settings.from_env({"MARKET_DATA_DIR": "/data"}).market_data_kind == "files"
    both = {"MARKET_DATA_DIR": "/data", "MARKET_DATA_BASE_URL": "http://127.0.0.1:1/v1/"}
    assert Settings.from_env(both).market_data_kind == "http"
    assert Settings.from_env(both).market_data_base_url == "http://127.0.0.1:1/v1"


def test_named_admin_keys() -> None:
    assert Settings.from_env({"ADMIN_API_KEY": "secret"}).admin_api_keys == {"admin": "secret"}
    named = Settings.from_env({"ADMIN_API_KEY": "ann:one,bob:two"})
    assert named.admin_api_keys == {"ann": "one", "bob": "two"}


def test_development_logs_are_for_people_and_others_are_json() -> None:
    assert not Settings.from_env({}).json_logs
    assert Settings.from_env({"ENV": "staging"}).json_logs
    assert not Settings.from_env({"ENV": "staging", "LOG_FORMAT": "text"}).json_logs
    assert Settings.from_env({"LOG_FORMAT": "json"}).json_logs
    assert not Settings.from_env({"ENV": "staging"}).public_activation


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ENV", "prod"),
        ("PORT", "0"),
        ("PORT", "http"),
        ("PORT", "８０"),
        ("PORT", "99999"),
        ("TRAIN_TEST_SIZE", "0.9"),
        ("TRAIN_TEST_SIZE", "nan"),
        ("TRAIN_TEST_SIZE", "some"),
        ("TRAIN_OBJECTIVE", "profit"),
        ("TRAIN_SYMBOLS", "AAPL,-x"),
        ("MARKET_DATA_BASE_URL", "ftp://host"),
        ("MARKET_DATA_INTERVAL", "2d"),
        ("MARKET_DATA_TIMEOUT_SECONDS", "0"),
        ("MARKET_DATA_CACHE_SECONDS", "-1"),
        ("MARKET_DATA_DEADLINE_SECONDS", "inf"),
        ("PUBLIC_ACTIVATION", "maybe"),
        ("LOG_LEVEL", "LOUD"),
        ("MARKET_DATA_BASE_URL", "http://[::1"),
        ("MARKET_DATA_BASE_URL", "http://host:99999"),
        ("MARKET_DATA_BASE_URL", "http://:80"),
        ("MARKET_DATA_TIMEOUT_SECONDS", "٥"),
        ("MARKET_DATA_TIMEOUT_SECONDS", "1_0"),
        ("TRAIN_ROUNDS", "٥٠"),
        ("MAX_MODEL_AGE_DAYS", "999999999"),
        ("MAX_BAR_AGE_BARS", "999999999"),
        ("RATE_LIMIT_WINDOW_SECONDS", "100000"),
        ("HOST", "not a host"),
    ],
)
def test_a_bad_value_names_the_variable_and_the_value(variable: str, value: str) -> None:
    with pytest.raises(BadSetting) as refused:
        Settings.from_env({variable: value})
    assert refused.value.variable == variable
    assert str(refused.value).startswith(variable)
    assert refused.value.value in value


@pytest.mark.parametrize("keys", [":s3cret", "a:1,a:2", "bad name:s3cret", "nobody:"])
def test_a_bad_admin_key_is_refused_without_repeating_it(keys: str) -> None:
    with pytest.raises(BadSetting) as refused:
        Settings.from_env({"ADMIN_API_KEY": keys})
    assert keys not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ftp://user:s3cret@host", "ftp://…@host"),
        ("user:s3cret@host", "…@host"),
        ("ftp://host/?token=s3cret", "ftp://host/?token=…"),
    ],
)
def test_a_bad_upstream_address_is_refused_without_its_password(url: str, shown: str) -> None:
    with pytest.raises(BadSetting) as refused:
        Settings.from_env({"MARKET_DATA_BASE_URL": url})
    assert refused.value.value == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:s3cret@host", "http://…"),
        ("user:s3cret@host:6379", "…"),
        ("redis:s3cret", "…"),
        ("redis://", "redis://…"),
    ],
)
def test_a_bad_queue_address_is_refused_without_its_password(url: str, shown: str) -> None:
    with pytest.raises(BadSetting) as refused:
        Settings.from_env({"REDIS_URL": url})
    assert (refused.value.variable, refused.value.value) == ("REDIS_URL", shown)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("url", ["redis://h:1/0", "rediss://u:p@h", "unix:///run/q.sock"])
def test_every_kind_of_queue_address_is_taken_as_it_stands(url: str) -> None:
    assert Settings.from_env({"REDIS_URL": url}).redis_url == url


@pytest.mark.parametrize("url", ["redis://h:99999", "redis://[::1", "redis://:6379/0"])
def test_a_queue_address_without_a_host_or_with_no_port_is_refused(url: str) -> None:
    with pytest.raises(BadSetting) as refused:
        Settings.from_env({"REDIS_URL": url})
    assert (refused.value.variable, refused.value.value) == ("REDIS_URL", "redis://…")


@pytest.mark.parametrize(
    ("host", "on"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("db1", False)],
)
def test_activation_without_a_key_is_on_where_only_this_machine_listens(
    host: str, on: bool
) -> None:
    assert Settings.from_env({"HOST": host}).public_activation is on
    assert Settings.from_env({"HOST": host, "PUBLIC_ACTIVATION": "true"}).public_activation


def test_staging_needs_a_long_key_too() -> None:
    with pytest.raises(BadSetting, match="at least 32 characters"):
        Settings.from_env({"ENV": "staging", "ADMIN_API_KEY": "short"})
    assert Settings.from_env({"ENV": "staging", "ADMIN_API_KEY": LONG_KEY}).env == "staging"


def test_production_needs_a_long_key_and_a_real_upstream() -> None:
    production = {"ENV": "production", "MARKET_DATA_BASE_URL": "https://bars.example"}
    with pytest.raises(BadSetting, match="ADMIN_API_KEY"):
        Settings.from_env({**production, "ADMIN_API_KEY": "short"})
    with pytest.raises(BadSetting, match="MARKET_DATA_BASE_URL"):
        Settings.from_env({"ENV": "production", "ADMIN_API_KEY": LONG_KEY})
    assert Settings.from_env({**production, "ADMIN_API_KEY": LONG_KEY}).env == "production"


def test_load_reads_the_process_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ARTIFACTS_DIR", str(tmp_path))
    assert load_from_environment().artifacts_dir == tmp_path
    assert environment_for_child({"PORT": "9"})["ARTIFACTS_DIR"] == str(tmp_path)
    assert environment_for_child({"PORT": "9"})["PORT"] == "9"


@pytest.mark.parametrize(
    ("profile", "level"),
    [("development", "DEBUG"), ("staging", "INFO"), ("production", "WARNING")],
)
def test_the_profile_sets_the_log_level_unless_it_is_set(profile: str, level: str) -> None:
    environ = {"ENV": profile, "MARKET_DATA_DIR": "/data", "LOG_LEVEL": ""}
    assert Settings.from_env(environ).log_level == level
    assert Settings.from_env({**environ, "LOG_LEVEL": "error"}).log_level == "ERROR"


def test_the_example_file_lists_every_variable_with_its_default() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    assigned = [line.lstrip("# ").partition("=") for line in lines if _assigns(line)]
    listed = {name: value for name, _, value in assigned}

    assert set(listed) == settings_read()
    live = [line.partition("=")[0] for line in lines if line and not line.startswith("#")]
    assert live == ["ENV", "ADMIN_API_KEY"]
    assert Settings.from_env(listed) == Settings.from_env({})


def _assigns(line: str) -> bool:
    name = line.removeprefix("#").strip().partition("=")[0]
    return "=" in line and name.isupper() and " " not in name


def test_a_z_score_label_needs_returns_and_ten_symbols() -> None:
    ten = ",".join(f"S{i}" for i in range(10))
    wanted = {"TRAIN_LABEL": "cs_zscore", "TRAIN_OBJECTIVE": "return", "TRAIN_SYMBOLS": ten}
    assert Settings.from_env(wanted).train.label == "cs_zscore"
    for change in ({"TRAIN_OBJECTIVE": "direction"}, {"TRAIN_SYMBOLS": "A,B"}):
        with pytest.raises(BadSetting, match=r"TRAIN_LABEL='cs_zscore': expected raw: cs_zscore"):
            Settings.from_env({**wanted, **change})


@pytest.mark.parametrize("value", ["daily", "@daily", "* * * *", "61 * * * *", "0 0 31 2 *"])
def test_a_schedule_that_never_ticks_stops_the_start(value: str) -> None:
    with pytest.raises(BadSetting, match="TRAIN_SCHEDULE") as refusal:
        Settings.from_env({"TRAIN_SCHEDULE": value})
    assert value in str(refusal.value)


def test_a_schedule_is_kept_in_one_form() -> None:
    assert Settings.from_env({"TRAIN_SCHEDULE": " 0  2 * * mon "}).train_schedule == "0 2 * * mon"
    assert Settings.from_env({}).train_schedule is None
    assert Settings.from_env({"TRAIN_TIMEOUT_SECONDS": "60"}).train_timeout_seconds == 60


@pytest.mark.parametrize(
    ("interval", "bars"), [("1d", 3), ("1w", 3), ("4h", 18), ("1h", 72), ("1m", 4320)]
)
def test_only_production_calls_old_or_partial_predictions_unusable(
    interval: str, bars: int
) -> None:
    base = {"MARKET_DATA_INTERVAL": interval, "MARKET_DATA_DIR": "/data", "ADMIN_API_KEY": LONG_KEY}
    calm = Settings.from_env(base).usability
    assert (calm.max_bar_age_bars, calm.max_model_age_days, calm.all_features) == (
        0,
        0,
        False,
    )
    assert not calm.refuse_suspect_bars
    strict = Settings.from_env({**base, "ENV": "production"}).usability
    assert strict.refuse_suspect_bars
    assert (strict.max_bar_age_bars, strict.max_model_age_days, strict.all_features) == (
        bars,
        30,
        True,
    )
    chosen = {"MAX_BAR_AGE_BARS": "0", "MAX_MODEL_AGE_DAYS": "90", "REQUIRE_ALL_FEATURES": "false"}
    loose = Settings.from_env({**base, "ENV": "production", **chosen}).usability
    assert (loose.max_bar_age_bars, loose.max_model_age_days, loose.all_features) == (
        0,
        90,
        False,
    )


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"MARKET_DATA_API_KEY": "s3cret key"}, "MARKET_DATA_API_KEY='…'"),
        ({"MARKET_DATA_API_KEY": "s3crét"}, "MARKET_DATA_API_KEY='…'"),
        ({"MARKET_DATA_API_KEY_HEADER": "X Key"}, "MARKET_DATA_API_KEY_HEADER='X Key'"),
        ({"MARKET_DATA_API_KEY_PARAM": "a=b"}, "MARKET_DATA_API_KEY_PARAM='a=b'"),
        (
            {"MARKET_DATA_API_KEY_PARAM": "key", "MARKET_DATA_API_KEY_HEADER": "X-Key"},
            "nothing beside MARKET_DATA_API_KEY_HEADER",
        ),
        ({"MARKET_DATA_PAGE_SIZE": "1"}, "MARKET_DATA_PAGE_SIZE='1'"),
        ({"MARKET_DATA_BASE_URL": "https://host#s3cret"}, "MARKET_DATA_BASE_URL='…'"),
    ],
)
def test_how_a_service_is_asked_is_checked(environ: dict[str, str], expected: str) -> None:
    with pytest.raises(BadSetting) as refused:
        Settings.from_env(environ)
    assert expected in str(refused.value)
    assert "s3cr" not in str(refused.value)


def test_trainings_are_shared_where_it_is_said_and_by_so_many():
    alone, shared = (
        Settings.from_env(each).fan_out
        for each in ({}, {"TRAIN_FANOUT": "folds", "TRAIN_WORKERS": "3"})
    )
    assert (alone.shares_folds, alone.workers) == (False, 0)
    assert (shared.shares_folds, shared.workers) == (True, 3)
    with pytest.raises(BadSetting, match="TRAIN_FANOUT"):
        Settings.from_env({"TRAIN_FANOUT": "seeds"})


def test_a_cluster_is_asked_where_its_scheduler_is_known():
    address = {"DASK_SCHEDULER_ADDRESS": "tls://dask.example.com:8786"}
    assert Settings.from_env(address).dask_scheduler_address == "tls://dask.example.com:8786"
    assert Settings.from_env({}).train.engine == "lightgbm"
    assert Settings.from_env({**address, "TRAIN_ENGINE": "dask"}).train.engine == "dask"
    with pytest.raises(BadSetting, match=r"TRAIN_ENGINE='dask'.*needs DASK_SCHEDULER_ADDRESS"):
        Settings.from_env({"TRAIN_ENGINE": "dask"})


@pytest.mark.parametrize(
    "address", ["10.0.0.5:8786", "http://host:1", "tcp://host", "tcp://host:0", "tcp://u:p@host:1"]
)
def test_an_address_of_something_else_is_refused(address):
    with pytest.raises(BadSetting, match="DASK_SCHEDULER_ADDRESS"):
        Settings.from_env({"DASK_SCHEDULER_ADDRESS": address})
