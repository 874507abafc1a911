"""How many requests each client made: two counters in Redis, read and raised by one command."""

import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

from limits.storage import RedisStorage
from redis import ConnectionPool
from redis.exceptions import NoScriptError, ResponseError

_PREFIX = "rate-counts+"
_PACKED_COMMANDS = 1024
_SCHEMES = [_PREFIX + scheme for scheme in ("redis", "rediss", "redis+unix")]

# What `acquire_sliding_window.lua` of limits does, for as many of `amount` requests as fit in, at
# `least` so many, and in the same answer what its `sliding_window.lua` would say next. Times in
# milliseconds.
_COUNT = """
local limit, expiry, amount = tonumber(ARGV[1]), tonumber(ARGV[2]) * 1000, tonumber(ARGV[3])
local least = tonumber(ARGV[4])

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
local admitted = math.min(amount, math.max(limit - weighted, 0))
if admitted < least then
    return {0, previous, previous_ttl, current, current_ttl}
end

if counts[2] then
    redis.call('incrby', KEYS[2], admitted)
else
    current_ttl = expiry * 2
    redis.call('set', KEYS[2], admitted, 'PX', current_ttl)
end
return {admitted, previous, previous_ttl, current + admitted, current_ttl}
"""

Window = tuple[int, float, int, float]


def rate_counts_uri(limits_uri: str) -> str:
    """How limits is told to keep the counts of that server in here."""
    return _PREFIX + limits_uri


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
        self._command = lru_cache(_PACKED_COMMANDS)(self._pack)
        self._mine = _OfThread(self.storage.connection_pool)

    def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        """Whether `amount` more fit into `limit` a window of `expiry` seconds; they count then."""
        self._mine.counted = None
        ((admitted, window),) = self._count([self._command(key, limit, expiry, amount, amount)])
        self.cache_window(key, expiry, window)
        return admitted > 0

    def acquire_up_to_limit(
        self, amounts: Mapping[str, int], limit: int, expiry: int
    ) -> dict[str, tuple[int, Window]]:
        """Of each key's amount, count as many as fit in: how many did, and the window after that.

        One round trip for all keys.
        """
        counted = self._count([self._command(k, limit, expiry, n, 1) for k, n in amounts.items()])
        return dict(zip(amounts, counted, strict=True))

    def _count(self, commands: Sequence[bytes]) -> list[tuple[int, Window]]:
        try:
            replies = self._exchange(commands)
        except NoScriptError:  # a server that has just started
            self.storage.script_load(_COUNT)
            replies = self._exchange(commands)
        return [(admitted, _in_seconds(*window)) for admitted, *window in replies]

    def cache_window(self, key: str, expiry: int, window: Window) -> None:
        """Let the next question of this thread for that window be answered by what is known."""
        self._mine.counted = key, expiry, window

    def get_sliding_window(self, key: str, expiry: int) -> Window:
        """Both counters and the seconds that each has left: the previous window, the current."""
        counted, self._mine.counted = self._mine.counted, None
        if counted is not None and counted[:2] == (key, expiry):
            return counted[2]
        window: Window = super().get_sliding_window(key, expiry)
        return window

    def _pack(self, key: str, limit: int, expiry: int, amount: int, least: int) -> bytes:
        previous, current = self._previous_window_key(key), self._current_window_key(key)
        keys = self.prefixed_key(previous), self.prefixed_key(current)
        arguments = "EVALSHA", self._sha, 2, *keys, limit, expiry, amount, least
        return b"".join(self._mine.connection.pack_command(*arguments))

    def _exchange(self, commands: Sequence[bytes]) -> list[list[int]]:
        """By the connection alone: pool and client of redis-py take half as long as the answer."""
        connection = self._mine.connection
        connection.connect()

        def exchange() -> list[Any]:
            connection.send_packed_command([b"".join(commands)])
            return [_read_reply(connection) for _ in commands]

        replies = connection.retry.call_with_retry(exchange, lambda _: connection.disconnect())
        _raise_first_error(replies)
        return cast("list[list[int]]", replies)


def _read_reply(connection: Any) -> Any:
    """An error that the server sends is a reply, too: others may stand behind it."""
    try:
        return connection.read_response()
    except ResponseError as error:
        return error.with_traceback(None)


def _raise_first_error(replies: list[Any]) -> None:
    """Empties `replies` then: an error whose frames hold it would keep the connection for long."""
    for reply in replies:
        if isinstance(reply, ResponseError):
            replies.clear()
            try:
                raise reply
            finally:
                del reply


class _OfThread(threading.local):
    """A connection ends with its thread."""

    def __init__(self, pool: ConnectionPool) -> None:
        self.connection = pool.connection_class(**pool.connection_kwargs)
        self.counted: tuple[str, int, Window] | None = None


def _in_seconds(previous: int, previous_ttl: int, current: int, current_ttl: int) -> Window:
    return previous, previous_ttl / 1000, current, current_ttl / 1000
