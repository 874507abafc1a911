"""Settings: every variable of the platform, read once, checked once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from mlengine.config import access, addresses, market_data, registry, traces, training
from mlengine.config.access import AccessSettings
from mlengine.config.env_reader import EnvReader
from mlengine.config.market_data import ServiceSettings
from mlengine.config.monitoring import MonitoringSettings, monitoring
from mlengine.config.registry import RegistrySettings
from mlengine.config.signals import SignalSettings, signal_settings
from mlengine.config.training import FanOutSettings
from mlengine.config.usability import UsabilitySettings, usability
from mlengine.core.actions.kinds import ADJUSTMENTS
from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.calendars.hours import CALENDAR_NAMES
from mlengine.core.training.spec import TrainSpec
from mlengine.errors import BadSetting

# What each profile logs unless LOG_LEVEL says otherwise.
_LOG_LEVELS = {"development": "DEBUG", "staging": "INFO", "production": "WARNING"}
# One JSON object a line, except on a developer's terminal.
_LOG_FORMATS = {"development": "text", "staging": "json", "production": "json"}
PROFILES = tuple(_LOG_LEVELS)
_NO_SAMPLE = "an address, or a folder in MARKET_DATA_DIR: production has no sample"


@dataclass(frozen=True)
class Settings:
    """What the operator chose; see docs/configuration.md for the meaning and default of each."""

    env: str
    access: AccessSettings
    artifacts_dir: Path
    registry: RegistrySettings
    audit_database_url: str
    database_timeout_seconds: float
    redis_url: str | None
    market_data_service: ServiceSettings
    market_data_dir: Path | None
    market_data_interval: str
    market_data_calendar: str | None
    market_data_timezone: ZoneInfo | None
    market_data_negative_prices: bool
    market_data_adjust: str
    market_data_symbols_file: Path | None
    market_data_timeout_seconds: float
    market_data_retry_attempts: int
    market_data_retry_backoff_seconds: float
    market_data_deadline_seconds: float
    market_data_cache_seconds: float
    market_data_recheck_seconds: float
    max_stale_seconds: float
    train: TrainSpec
    train_timeout_seconds: int
    train_memory_mb: int
    train_schedule: str | None
    train_schedule_activate: str
    train_first: bool
    fan_out: FanOutSettings
    dask_scheduler_address: str | None
    rate_limit_requests: int
    rate_limit_window_seconds: int
    trusted_proxy_count: int
    cors_origins: tuple[str, ...]
    max_batch_symbols: int
    bars_cache_symbols: int
    bars_cache_mb: int
    usability: UsabilitySettings
    monitoring: MonitoringSettings
    signals: SignalSettings
    audit_retention_days: int
    public_activation: bool
    feature_sets: tuple[str, ...]
    host: str
    port: int
    web_workers: int
    client_timeout_seconds: float
    log_level: str
    log_level_is_set: bool
    json_logs: bool
    trace_exporters: tuple[str, ...]

    @property
    def registry_dir(self) -> Path:
        """Where this host has its versions: all there are, or a mirror of the shared registry."""
        return self.artifacts_dir / "cache" if self.registry.url else self.artifacts_dir

    @property
    def admin_api_keys(self) -> Mapping[str, str]:
        """Keys by name."""
        return self.access.admin_keys

    @property
    def command_log_level(self) -> str:
        """Of a command, whose output log lines shall not drown."""
        return self.log_level if self.log_level_is_set else "WARNING"

    @property
    def market_data_base_url(self) -> str | None:
        return self.market_data_service.base_url

    @property
    def market_data_kind(self) -> str:
        """The name of the adapter that is set, else `http`, `files` or `sample`."""
        if self.market_data_service.adapter:
            return self.market_data_service.adapter.partition(":")[0]
        if self.market_data_base_url:
            return "http"
        return "files" if self.market_data_dir else "sample"

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read every setting from `environ`; an empty value means unset.

        Raises BadSetting, which names the variable and the value.
        """
        settings = cls.read(EnvReader(environ))
        settings.refuse_sample_in_production()
        return settings

    @classmethod
    def read(cls, read: EnvReader) -> Settings:
        """As `from_env`, variable by variable; raises BadSetting of the first that is refused."""
        env = read.choice("ENV", "development", PROFILES)
        interval = read.choice("MARKET_DATA_INTERVAL", "1d", tuple(INTERVALS))
        host = addresses.host(read)
        keys = access.access_settings(read, env)
        artifacts = Path(read.text("ARTIFACTS_DIR", "artifacts")).absolute()
        return cls(
            env=env,
            access=keys,
            **training.schedule_settings(read),
            artifacts_dir=artifacts,
            registry=registry.registry_settings(read),
            **addresses.database(read, artifacts),
            redis_url=addresses.redis_url(read),
            market_data_service=market_data.service_settings(read),
            market_data_dir=read.path("MARKET_DATA_DIR"),
            market_data_interval=interval,
            market_data_calendar=_calendar(read),
            market_data_timezone=_timezone(read),
            market_data_negative_prices=read.boolean("MARKET_DATA_NEGATIVE_PRICES", default=False),
            market_data_adjust=read.choice("MARKET_DATA_ADJUST", "none", tuple(ADJUSTMENTS)),
            market_data_symbols_file=read.path("MARKET_DATA_SYMBOLS_FILE"),
            market_data_timeout_seconds=read.seconds("MARKET_DATA_TIMEOUT_SECONDS", 5.0),
            market_data_retry_attempts=read.integer("MARKET_DATA_RETRY_ATTEMPTS", 3, 0, 20),
            market_data_retry_backoff_seconds=_retry_backoff_seconds(read),
            market_data_deadline_seconds=read.seconds("MARKET_DATA_DEADLINE_SECONDS", 15.0),
            market_data_cache_seconds=read.seconds("MARKET_DATA_CACHE_SECONDS", 5.0, zero=True),
            market_data_recheck_seconds=read.seconds("MARKET_DATA_RECHECK_SECONDS", 60, zero=True),
            max_stale_seconds=read.seconds("MAX_STALE_SECONDS", 14_400.0, zero=True),
            train=training.train_spec(read, interval),
            **training.limits(read),
            rate_limit_requests=read.integer("RATE_LIMIT_REQUESTS", 600, 0, 1_000_000_000),
            rate_limit_window_seconds=read.integer("RATE_LIMIT_WINDOW_SECONDS", 60, 1, 86_400),
            trusted_proxy_count=read.integer("TRUSTED_PROXY_COUNT", 0, 0, 10),
            cors_origins=addresses.cors_origins(read),
            **_numbers_of_symbols(read),
            usability=usability(read, interval, production=env == "production"),
            monitoring=monitoring(read),
            signals=signal_settings(read),
            audit_retention_days=read.integer("AUDIT_RETENTION_DAYS", 0, 0, 36_500),
            public_activation=access.public_activation(read, env, host, keys),
            feature_sets=read.comma_list("FEATURE_SETS"),
            host=host,
            port=read.integer("PORT", 8000, 1, 65535),
            web_workers=read.integer("WEB_WORKERS", 2, 1, 64),
            client_timeout_seconds=read.seconds("CLIENT_TIMEOUT_SECONDS", 10.0),
            log_level=_log_level(read, env),
            log_level_is_set=read.is_set("LOG_LEVEL"),
            json_logs=read.choice("LOG_FORMAT", _LOG_FORMATS[env], ("json", "text")) == "json",
            trace_exporters=traces.trace_exporters(read),
        )

    def refuse_sample_in_production(self) -> None:
        """Production serves no sample prices; raises BadSetting."""
        if self.env == "production" and self.market_data_kind == "sample":
            raise BadSetting("MARKET_DATA_BASE_URL", "", _NO_SAMPLE)


def load_from_environment() -> Settings:
    """The settings of this process, from its environment alone."""
    return Settings.from_env(os.environ)


def environment_for_child(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of this process with `extra` on top, for a child of it."""
    return {**os.environ, **extra}


def _retry_backoff_seconds(read: EnvReader) -> float:
    return read.seconds("MARKET_DATA_RETRY_BACKOFF_SECONDS", 0.2, zero=True)


def _numbers_of_symbols(read: EnvReader) -> dict[str, int]:
    return {
        "max_batch_symbols": read.integer("MAX_BATCH_SYMBOLS", 500, 1, 5000),
        "bars_cache_symbols": read.integer("BARS_CACHE_SYMBOLS", 1_000, 1, 100_000),
        "bars_cache_mb": read.integer("BARS_CACHE_MB", 280, 1, 1_000_000),
    }


def _calendar(read: EnvReader) -> str | None:
    name = read.optional("MARKET_DATA_CALENDAR")
    if name is not None and name not in CALENDAR_NAMES:
        raise BadSetting("MARKET_DATA_CALENDAR", name, f"one of {', '.join(CALENDAR_NAMES)}")
    return name


def _timezone(read: EnvReader) -> ZoneInfo | None:
    name = read.optional("MARKET_DATA_TIMEZONE")
    try:
        return ZoneInfo(name) if name else None
    except (ValueError, KeyError, OSError):
        raise BadSetting("MARKET_DATA_TIMEZONE", name or "", "a zone such as Asia/Tokyo") from None


def _log_level(read: EnvReader, env: str) -> str:
    levels = ("DEBUG", "INFO", "WARNING", "ERROR")
    return read.choice("LOG_LEVEL", _LOG_LEVELS[env], levels, fold=str.upper)
