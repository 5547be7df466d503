"""The header X-API-Key: what a key looks like, and whether the request may go on with it.

Every request asks the database, so that a key that was revoked a moment ago is refused.
"""

import logging
import re
import secrets
from typing import Any

import psycopg2

from swagger_server import db, under_way
from swagger_server.security.scopes import require_scope, unauthorized
from swagger_server.security.store import Found, find_key, note_use

log = logging.getLogger(__name__)

_PREFIX = "sws_"
"""By which people, and programs that search for secrets, know a key when they see one."""

_SHAPE = re.compile(rf"{_PREFIX}[A-Za-z0-9_-]{{43}}")

_ATTEMPTS = 8
"""How often a look-up is tried at most whose connection dies under it."""

_NOTING_PATIENCE = 0.1
"""Seconds to wait for a connection on which the use of a key is noted; the next request can do that as well."""


def new_key() -> str:
    """A key with 256 random bits."""
    return _PREFIX + secrets.token_urlsafe(32)


def check_api_key(key: str) -> dict[str, Any]:
    """Whose key it is: `sub`, `scopes`, and the key's id as `key_id`.

    Problem 401 for a key that is unknown, expired or revoked, 403 for one whose scopes do not suffice; the pool's and
    psycopg2's errors where the database cannot be asked.
    """
    found = _look_up(key) if _SHAPE.fullmatch(key) else None
    if found is None:
        raise unauthorized("This API key is not known.")
    if found.is_revoked or found.is_expired:
        state = "has been revoked" if found.is_revoked else "has expired"
        log.info("refused an API key that %s", state, extra={"key_id": found.id})
        raise unauthorized(f"This API key {state}.")
    if found.is_use_unnoted:
        _note_use(found)
    require_scope(found.scopes)
    return {"sub": found.owner, "scopes": found.scopes, "key_id": found.id}


def _look_up(key: str) -> Found | None:
    attempt = 0
    while True:
        attempt += 1
        try:
            with db.beside(read_only=True) as conn:
                return find_key(conn, key)
        except psycopg2.Error as exc:
            if attempt == _ATTEMPTS or not db.is_lost(exc) or _is_cancelled():
                raise


def _note_use(found: Found) -> None:
    """Nothing that goes wrong here is a reason to refuse the request."""
    try:
        with db.beside(patience=_NOTING_PATIENCE) as conn:
            note_use(conn, found.id)
    except psycopg2.Error as exc:
        log.warning("the use of an API key was not noted: %s", type(exc).__name__, extra={"key_id": found.id})


def _is_cancelled() -> bool:
    asked = under_way.current.get()
    return asked is not None and asked.cancellation.is_cancelled
