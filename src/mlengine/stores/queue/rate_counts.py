"""How many requests each client made: two counters in Redis, read and raised by one command."""

from __future__ import annotations

import threading
from typing import Any

from limits.storage import RedisStorage
from redis import ConnectionPool
from redis.exceptions import NoScriptError

_PREFIX = "rate-counts+"
_SCHEMES = [_PREFIX + scheme for scheme in ("redis", "rediss", "redis+unix")]

# What `acquire_sliding_window.lua` of limits does, and in the same answer what its
# `sliding_window.lua` would say next. Times in milliseconds.
_COUNT = """
local limit, expiry, amount = tonumber(ARGV[1]), tonumber(ARGV[2]) * 1000, tonumber(ARGV[3])

local current_ttl = math.max(redis.call('pttl', KEYS[2]), 0)
if current_ttl > 0 and current_ttl < expiry then
    current_ttl = current_ttl + expiry
    redis.call('rename', KEYS[2], KEYS[1])
    redis.call('set', KEYS[2], 0, 'PX', current_ttl)
end

local counts = redis.call('mget', KEYS[1], KEYS[2])
local previous, current = tonumber(counts[1]) or 0, tonumber(counts[2]) or 0
local previous_ttl = math.max(redis.call('pttl', KEYS[1]), 0)
local weighted = math.floor(previous * previous_ttl / expiry) + current
if weighted + amount > limit then
    return {0, previous, previous_ttl, current, current_ttl}
end

if counts[2] then
    redis.call('incrby', KEYS[2], amount)
else
    current_ttl = expiry * 2
    redis.call('set', KEYS[2], amount, 'PX', current_ttl)
end
return {1, previous, previous_ttl, current + amount, current_ttl}
"""

Window = tuple[int, float, int, float]


def storage_url(limits_url: str) -> str:
    """How limits is told to keep the counts of that server in here."""
    return _PREFIX + limits_url


class RateCounts(RedisStorage):
    """The storage of limits for its sliding window of two counters, asked once where it asks twice.

    A request wants to know whether it may pass, and then what stands in its headers: the first
    answer holds the second, which is kept for the thread that asked and given out once. Each
    thread has a connection of its own. Raises what redis-py raises.
    """

    STORAGE_SCHEME = _SCHEMES

    def __init__(self, uri: str, **options: Any) -> None:
        super().__init__(uri.removeprefix(_PREFIX), **options)
        self._sha = self.storage.register_script(_COUNT).sha
        self._mine = _OfThread(self.storage.connection_pool)

    def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        """Whether `amount` more fit into `limit` a window of `expiry` seconds; they count then."""
        self._mine.counted = None
        previous, current = self._previous_window_key(key), self._current_window_key(key)
        keys = self.prefixed_key(previous), self.prefixed_key(current)
        acquired, *window = self._run(*keys, limit, expiry, amount)
        self._mine.counted = key, expiry, _in_seconds(*window)
        return bool(acquired)

    def get_sliding_window(self, key: str, expiry: int) -> Window:
        """Both counters and the seconds that each has left: the previous window, the current."""
        counted, self._mine.counted = self._mine.counted, None
        if counted is not None and counted[:2] == (key, expiry):
            return counted[2]
        window: Window = super().get_sliding_window(key, expiry)
        return window

    def _run(self, *arguments: str | int) -> list[int]:
        try:
            return self._ask("EVALSHA", self._sha, 2, *arguments)
        except NoScriptError:  # a server that has just started
            self._sha = self.storage.script_load(_COUNT)
            return self._ask("EVALSHA", self._sha, 2, *arguments)

    def _ask(self, *command: str | int) -> list[int]:
        """By the connection alone: pool and client of redis-py take half as long as the answer."""
        connection = self._mine.connection
        connection.connect()

        def exchange() -> Any:
            connection.send_command(*command)
            return connection.read_response()

        answer: list[int] = connection.retry.call_with_retry(
            exchange, lambda _: connection.disconnect()
        )
        return answer


class _OfThread(threading.local):
    """A connection ends with its thread."""

    def __init__(self, pool: ConnectionPool) -> None:
        self.connection = pool.connection_class(**pool.connection_kwargs)
        self.counted: tuple[str, int, Window] | None = None


def _in_seconds(previous: int, previous_ttl: int, current: int, current_ttl: int) -> Window:
    return previous, previous_ttl / 1000, current, current_ttl / 1000
