"""What callers have asked for, by policy: counted in the memory that a host's workers share, or in a Redis.

A Redis that cannot be reached stops nobody: meanwhile the host's own memory counts.
"""

import logging
import threading
import time
from functools import lru_cache
from typing import Any, NamedTuple

import limits
from limits.errors import StorageError
from limits.storage import RedisStorage, Storage, storage_from_string
from limits.strategies import FixedWindowRateLimiter

from swagger_server.config import Rate
from swagger_server.rate_limits.shared import SharedStorage
from swagger_server.runtime import Folder

log = logging.getLogger(__name__)

_PATIENCE = 0.25
"""Seconds for a Redis to answer, which is in the way of a request."""

_PAUSE = 1.0
"""Seconds in which a Redis that failed is not asked again."""

_REMEMBERED = 16_384


class Policy:
    """A rate, under the name by which callers are told of it."""

    def __init__(self, name: str, rate: Rate) -> None:
        self.name = name
        self.item = limits.parse(f"{rate.amount} per {rate.multiple} {rate.unit}")
        self.amount = self.item.amount
        self.seconds = self.item.get_expiry()
        # The library makes it of its parts each time.
        self.key_for = lru_cache(_REMEMBERED)(lambda client: self.item.key_for(name, client))


class Standing(NamedTuple):
    """How a caller stands with a policy."""

    policy: Policy
    requests: int
    """Those in this window, with those that were refused."""
    left: int
    """Milliseconds of the window."""

    @property
    def is_over(self) -> bool:
        """Whether it has asked for more than is allowed."""
        return self.requests > self.policy.amount

    @property
    def remaining(self) -> int:
        """Requests that are still allowed."""
        return max(0, self.policy.amount - self.requests)

    @property
    def seconds(self) -> int:
        """Until the window has ended, rounded up."""
        return -(-self.left // 1000)


class Counter:
    """Counts requests. `url` is a Redis's, or None for the memory of this host.

    Windows are fixed: at their turn a caller may ask for twice the rate within a moment. That is what the cheapest of
    the library's strategies does, and the one that needs no more than a number per caller.
    """

    def __init__(self, url: str | None = None) -> None:
        self._shared = SharedStorage()
        self._remote = None if url is None else _Remote(url)
        self.strategy = FixedWindowRateLimiter(self._shared)

    def start(self, folder: Folder) -> None:
        """In a worker: count with the others of the folder. OSError where that has no room; then it counts alone."""
        self._shared.start(folder)

    def stop(self) -> None:
        """Close the connections with a Redis. Who counts afterwards opens others."""
        if self._remote is not None:
            self._remote.disconnect()

    def take(self, policy: Policy, client: str) -> Standing:
        """Count a request; how the client stands with it."""
        key = policy.key_for(client)
        if self._remote is not None:
            told = self._remote.take(key, policy.seconds)
            if told is not None:
                return Standing(policy, *told)
        return Standing(policy, *self._shared.count(key, policy.seconds))

    def look(self, policy: Policy, client: str) -> Standing:
        """How a client stands, without counting anything."""
        key = policy.key_for(client)
        told = self._remote.look(key) if self._remote is not None else None
        count, end = told or _look(self._shared, key)
        return Standing(policy, count, max(0, round(1000 * (end - time.time()))))


def _look(storage: Storage, key: str) -> tuple[int, float]:
    return storage.get(key), storage.get_expiry(key)


class _Remote:
    """A Redis, asked through the library; what it says is None while it cannot be reached."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._storage: RedisStorage | None = None
        self._resumes = 0.0

    def disconnect(self) -> None:
        with self._lock:
            if self._storage is not None:
                self._storage.storage.close()

    def take(self, key: str, expiry: int) -> tuple[int, int] | None:
        """The count, and the milliseconds until the window ends."""
        if time.monotonic() < self._resumes:
            return None
        try:
            storage = self._connected()
            count = storage.incr(key, expiry)
            left = round(1000 * (storage.get_expiry(key) - time.time()))
        except StorageError as error:
            self._failed(error)
            return None
        return count, max(1, left)

    def look(self, key: str) -> tuple[int, float] | None:
        """The count, and when the window ends."""
        if time.monotonic() < self._resumes:
            return None
        try:
            return _look(self._connected(), key)
        except StorageError as error:
            self._failed(error)
            return None

    def _connected(self) -> RedisStorage:
        # In the worker, at its first request: connections do not survive a fork.
        with self._lock:
            if self._storage is None:
                self._storage = _open(self._url)
            return self._storage

    def _failed(self, error: StorageError) -> None:
        self._resumes = time.monotonic() + _PAUSE
        log.warning("the rates are counted on this host: Redis: %s", error.storage_error)


def _open(url: str) -> RedisStorage:
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    options: dict[str, Any] = {
        "socket_timeout": _PATIENCE,
        "socket_connect_timeout": _PATIENCE,
        # By itself it would try for seconds.
        "retry": Retry(NoBackoff(), 1),
    }
    storage = storage_from_string(url, wrap_exceptions=True, **options)
    assert isinstance(storage, RedisStorage)
    return storage
