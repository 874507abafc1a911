"""Settings: every variable of the platform, read once, checked once.

`from_env(environ)` is pure; `load()` and `environment_for_child()` are the only two places in
the package that touch the process environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlengine.core.intervals import INTERVALS
from mlengine.errors import BadSetting

POLICIES = ("always", "if_better", "if_not_worse", "never")
PROFILES = ("development", "staging", "production")
_PRODUCTION_KEY_LENGTH = 32
_SYMBOL = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._:/^=-]{0,31}$")
_KEY_NAME = re.compile(r"^[A-Za-z0-9_-]{1,32}$")


@dataclass(frozen=True)
class Settings:
    """What the operator chose; see `.env.example` for the meaning and default of each."""

    env: str
    admin_api_keys: Mapping[str, str]
    artifacts_dir: Path
    audit_database_url: str
    redis_url: str | None
    market_data_base_url: str | None
    market_data_dir: Path | None
    market_data_interval: str
    market_data_timeout_seconds: float
    market_data_retry_attempts: int
    market_data_retry_backoff_seconds: float
    market_data_deadline_seconds: float
    market_data_cache_seconds: float
    train_symbols: tuple[str, ...]
    train_lookback: int
    train_test_size: float
    train_random_state: int
    train_cv_folds: int
    train_horizon: int
    train_embargo: int
    train_objective: str
    train_feature_set: str
    train_activate: str
    train_refit: str
    train_label_delay: int
    rate_limit_requests: int
    rate_limit_window_seconds: int
    trusted_proxy_count: int
    max_batch_symbols: int
    public_activation: bool
    feature_sets: tuple[str, ...]
    host: str
    port: int
    web_workers: int
    log_level: str

    @property
    def market_data_kind(self) -> str:
        """`http`, `files` or `sample`, by which of the two addresses is set."""
        if self.market_data_base_url:
            return "http"
        return "files" if self.market_data_dir else "sample"

    @property
    def json_logs(self) -> bool:
        """One JSON object a line, except on a developer's terminal."""
        return self.env != "development"

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read every setting from `environ`; an empty value means unset.

        Raises BadSetting, which names the variable and the value.
        """
        read = _Reader(environ)
        env = read.choice("ENV", "development", PROFILES)
        artifacts = Path(read.text("ARTIFACTS_DIR", "artifacts")).absolute()
        settings = cls(
            env=env,
            admin_api_keys=_admin_keys(read, env),
            artifacts_dir=artifacts,
            audit_database_url=read.text("AUDIT_DATABASE_URL", f"sqlite:///{artifacts}/audit.db"),
            redis_url=_redis_url(read),
            market_data_base_url=_base_url(read),
            market_data_dir=_optional_path(read, "MARKET_DATA_DIR"),
            market_data_interval=read.choice("MARKET_DATA_INTERVAL", "1d", tuple(INTERVALS)),
            market_data_timeout_seconds=read.seconds("MARKET_DATA_TIMEOUT_SECONDS", 5.0),
            market_data_retry_attempts=read.whole("MARKET_DATA_RETRY_ATTEMPTS", 3, 0, 20),
            market_data_retry_backoff_seconds=read.seconds(
                "MARKET_DATA_RETRY_BACKOFF_SECONDS", 0.2, zero=True
            ),
            market_data_deadline_seconds=read.seconds("MARKET_DATA_DEADLINE_SECONDS", 15.0),
            market_data_cache_seconds=read.seconds("MARKET_DATA_CACHE_SECONDS", 5.0, zero=True),
            train_symbols=_symbols(read),
            train_lookback=read.whole("TRAIN_LOOKBACK", 2520, 0),
            train_test_size=read.share("TRAIN_TEST_SIZE", 0.2),
            train_random_state=read.whole("TRAIN_RANDOM_STATE", 42, 0, 2**31 - 1),
            train_cv_folds=read.whole("TRAIN_CV_FOLDS", 5, 0, 50),
            train_horizon=read.whole("TRAIN_HORIZON", 5, 1, 1000),
            train_embargo=read.whole("TRAIN_EMBARGO", 0, 0, 10_000),
            train_objective=read.choice("TRAIN_OBJECTIVE", "direction", ("direction", "return")),
            train_feature_set=read.text("TRAIN_FEATURE_SET", "core"),
            train_activate=read.choice("TRAIN_ACTIVATE", "if_better", POLICIES),
            train_refit=read.choice("TRAIN_REFIT", "none", ("none", "full")),
            train_label_delay=read.whole("TRAIN_LABEL_DELAY", 0, 0, 1),
            rate_limit_requests=read.whole("RATE_LIMIT_REQUESTS", 600, 0),
            rate_limit_window_seconds=read.whole("RATE_LIMIT_WINDOW_SECONDS", 60, 1),
            trusted_proxy_count=read.whole("TRUSTED_PROXY_COUNT", 0, 0, 10),
            max_batch_symbols=read.whole("MAX_BATCH_SYMBOLS", 500, 1, 5000),
            public_activation=read.flag("PUBLIC_ACTIVATION", env == "development"),
            feature_sets=read.listed("FEATURE_SETS", ()),
            host=read.text("HOST", "127.0.0.1"),
            port=read.whole("PORT", 8000, 1, 65535),
            web_workers=read.whole("WEB_WORKERS", 2, 1, 64),
            log_level=read.choice(
                "LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"), fold=str.upper
            ),
        )
        settings.refuse_unsafe_production()
        return settings

    def refuse_unsafe_production(self) -> None:
        """Production serves no sample prices."""
        if self.env == "production" and self.market_data_kind == "sample":
            raise BadSetting("MARKET_DATA_BASE_URL", "", "an address: production has no sample")


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process."""
    return Settings.from_env(os.environ if environ is None else environ)


def environment_for_child(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of this process with `extra` on top, for a child of it."""
    return {**os.environ, **extra}


@dataclass(frozen=True)
class _Reader:
    environ: Mapping[str, str]

    def optional(self, name: str) -> str | None:
        return self.environ.get(name, "").strip() or None

    def text(self, name: str, default: str) -> str:
        return self.optional(name) or default

    def choice(
        self, name: str, default: str, allowed: tuple[str, ...], fold: Callable[[str], str] = str
    ) -> str:
        value = fold(self.text(name, default))
        if value not in allowed:
            raise BadSetting(name, value, f"one of {', '.join(allowed)}")
        return value

    def whole(self, name: str, default: int, low: int, high: int | None = None) -> int:
        raw = self.text(name, str(default))
        limits = f"a whole number from {low}" + (f" to {high}" if high is not None else " on")
        if not re.fullmatch(r"-?[0-9]{1,18}", raw):
            raise BadSetting(name, raw, limits)
        value = int(raw)
        if value < low or (high is not None and value > high):
            raise BadSetting(name, raw, limits)
        return value

    def number(self, name: str, default: float, expected: str) -> float:
        raw = self.text(name, str(default))
        try:
            return float(raw)
        except ValueError:
            raise BadSetting(name, raw, expected) from None

    def seconds(self, name: str, default: float, *, zero: bool = False) -> float:
        expected = f"seconds, {'zero or more' if zero else 'more than zero'}, at most 86400"
        value = self.number(name, default, expected)
        if not 0 <= value <= 86_400 or (value == 0 and not zero):
            raise BadSetting(name, self.text(name, ""), expected)
        return value

    def share(self, name: str, default: float) -> float:
        expected = "a share between 0.05 and 0.5"
        value = self.number(name, default, expected)
        if not 0.05 <= value <= 0.5:
            raise BadSetting(name, self.text(name, ""), expected)
        return value

    def flag(self, name: str, default: bool) -> bool:
        value = self.text(name, str(default)).lower()
        if value in ("1", "true", "yes", "on"):
            return True
        if value in ("0", "false", "no", "off"):
            return False
        raise BadSetting(name, value, "true or false")

    def listed(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        raw = self.optional(name)
        if raw is None:
            return default
        return tuple(part.strip() for part in raw.split(",") if part.strip())


def _admin_keys(read: _Reader, env: str) -> dict[str, str]:
    """`key` or `name:key,name:key` as {name: key}; no error repeats the value."""
    keys: dict[str, str] = {}
    for part in read.listed("ADMIN_API_KEY", ()):
        name, colon, key = part.partition(":")
        name, key = (name, key) if colon else ("admin", name)
        if not _KEY_NAME.match(name) or not key or name in keys:
            raise BadSetting("ADMIN_API_KEY", "…", "one key, or name:key,name:key, names unique")
        if env == "production" and len(key) < _PRODUCTION_KEY_LENGTH:
            raise BadSetting("ADMIN_API_KEY", "…", "at least 32 characters a key in production")
        keys[name] = key
    return keys


def _base_url(read: _Reader) -> str | None:
    url = read.optional("MARKET_DATA_BASE_URL")
    if url is not None and not re.match(r"^https?://[^/\s]+", url):
        raise BadSetting("MARKET_DATA_BASE_URL", url, "an http:// or https:// address")
    return url.rstrip("/") if url else None


def _redis_url(read: _Reader) -> str | None:
    url = read.optional("REDIS_URL")
    if url is not None and not re.match(r"(rediss?|unix)://.", url):
        scheme = re.match(r"[a-z+]+://", url)  # what follows may hold a password
        shown = f"{scheme[0] if scheme else ''}…"
        raise BadSetting("REDIS_URL", shown, "a redis://, rediss:// or unix:// address")
    return url


def _optional_path(read: _Reader, name: str) -> Path | None:
    raw = read.optional(name)
    return Path(raw).absolute() if raw else None


def _symbols(read: _Reader) -> tuple[str, ...]:
    symbols = read.listed("TRAIN_SYMBOLS", ("AAPL", "GOOG", "IBM", "MSFT"))
    for symbol in symbols:
        if not _SYMBOL.match(symbol):
            raise BadSetting("TRAIN_SYMBOLS", symbol, "symbols such as AAPL or BTC-USD, by comma")
    return tuple(dict.fromkeys(symbols))
