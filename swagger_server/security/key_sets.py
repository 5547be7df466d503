"""The keys that tokens are signed with: a JSON Web Key Set (RFC 7517), kept, and fetched again when it has to be.

Owns when it is fetched. One thread fetches at a time; the others go on with the keys that there are, or wait for that
thread where there are none.
"""

import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from time import monotonic
from typing import Any

import jwt

from swagger_server.security.errors import KeysUnavailable

log = logging.getLogger(__name__)

LIFESPAN = 300.0
"""Seconds until the keys are fetched again."""

STALE = 3600.0
"""Seconds for which keys are good whose source cannot be reached."""

COOLDOWN = 10.0
"""Seconds between two fetches for keys that are not known: tokens name keys at will."""

RETRY = 1.0
"""Seconds after a fetch that failed until the next one."""

TIMEOUT = 3.0
"""Seconds that a fetch may take until its next byte."""

PATIENCE = 5.0
"""Seconds to wait for another thread's fetch."""

WEAKEST_RSA = 2048
"""Bits that an RSA key must have at least (RFC 7518, section 3.3)."""

Fetch = Callable[[], Mapping[str, Any]]


class KeySet:
    """The keys of one source. Safe from any thread."""

    def __init__(self, fetch: Fetch, clock: Callable[[], float] = monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: Sequence[jwt.PyJWK] = ()
        self._fetched = self._failed = float("-inf")
        self._under_way: Future[None] | None = None

    def key(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        """The key of this id, and of several the one for the algorithm; None where there is none.

        Without an id, the only one there is, or one that has none.

        Waits for the source when it must. Raises KeysUnavailable.
        """
        seen = self._fetched
        if self._clock() - seen > LIFESPAN:
            self._refresh(seen, is_needed=self._clock() - seen > STALE)
        seen = self._fetched
        if (found := self._find(kid, algorithm)) is None and self._clock() - seen > COOLDOWN:
            self._refresh(seen, is_needed=True)
            found = self._find(kid, algorithm)
        return found

    def _find(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        # Ids need not differ between kinds of keys (RFC 7517, section 4.5).
        keys = self._keys
        named = keys if kid is None and len(keys) == 1 else [key for key in keys if key.key_id == kid]
        return next((key for key in named if key.algorithm_name == algorithm), named[0] if named else None)

    def _refresh(self, seen: float, *, is_needed: bool) -> None:
        """Fetch what is newer than `seen`, or have it fetched; KeysUnavailable where that failed and `is_needed`."""
        with self._lock:
            if self._fetched != seen:
                return  # somebody else's fetch has ended meanwhile
            running, mine = self._under_way, None
            if running is None and self._clock() - self._failed > RETRY:
                mine = self._under_way = Future()
        if mine is not None:
            self._fetch_for_all(mine)
        if not is_needed:
            return
        try:
            awaited = mine or running
            if awaited is None:
                raise KeysUnavailable
            awaited.result(PATIENCE)
        except Exception:
            raise KeysUnavailable("the keys of the tokens cannot be fetched") from None

    def _fetch_for_all(self, outcome: "Future[None]") -> None:
        try:
            keys = _usable(self._fetch())
        except Exception as exc:
            log.warning("the keys of the tokens cannot be fetched: %s: %s", type(exc).__name__, exc)
            self._failed = self._clock()
            outcome.set_exception(exc)
        else:
            self._keys, self._fetched = keys, self._clock()
            outcome.set_result(None)
        finally:
            with self._lock:
                self._under_way = None


def _usable(data: Mapping[str, Any]) -> list[jwt.PyJWK]:
    """The keys for signatures, but for kinds that the library does not know, and RSA keys that are too short."""
    keys = jwt.PyJWKSet.from_dict(dict(data)).keys
    return [key for key in keys if key.public_key_use in ("sig", None) and not _is_weak(key)]


def _is_weak(key: jwt.PyJWK) -> bool:
    is_weak = key.key_type == "RSA" and key.key.key_size < WEAKEST_RSA
    if is_weak:
        log.warning("the RSA key %r of the tokens has %d bits: it is left out", key.key_id, key.key.key_size)
    return is_weak


def source(where: str) -> Fetch:
    """How to fetch the set that is in a file, or at an http or https URL (where no redirect is followed)."""
    if where.startswith(("http://", "https://")):
        return jwt.PyJWKClient(where, cache_jwk_set=False, timeout=TIMEOUT).fetch_data
    return lambda: _of_file(where)


def _of_file(path: str) -> Mapping[str, Any]:
    data: Mapping[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return data
