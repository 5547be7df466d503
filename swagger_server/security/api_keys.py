"""The header X-API-Key: whether the request may go on with that key.

Every request asks the database, so that a key that was revoked a moment ago is refused.
"""

import logging
from typing import Any

import psycopg2

from swagger_server import db, under_way
from swagger_server.key_store import Found, can_be_key, find_key, note_use
from swagger_server.security.scopes import require_scope, unauthorized

log = logging.getLogger(__name__)

_ATTEMPTS = 8
"""How often a look-up is tried at most whose connection dies under it."""

_NOTING_PATIENCE = 0.1
"""Seconds to wait for a connection on which the use of a key is noted; the next request can do that as well."""


def check_api_key(key: str) -> dict[str, Any]:
    """Whose key it is: `sub`, `scopes`, and the key's id as `key_id`.

    Problem 401 for a key that is unknown, expired or revoked, 403 for one whose scopes do not suffice; the pool's and
    psycopg2's errors where the database cannot be asked.
    """
    found = _look_up(key) if can_be_key(key) else None
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
