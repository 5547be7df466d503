"""API keys: what one looks like, and the table of them. Owns the SQL, and how a key is hashed.

No key is in the table, only its SHA-256. Must know neither Flask nor who asks: the command line starts with it.
"""

import hashlib
import re
import secrets
from collections.abc import Sequence
from typing import NamedTuple

from psycopg2.extensions import connection

from swagger_server.rows import Key, Page, fetch, fetch_page, fetch_text

READ, WRITE, ADMIN = "read", "write", "admin"

SCOPES = (READ, WRITE, ADMIN)
"""All that a key may be for. `admin` holds the two others; like them it is one owner's, and opens nobody else's."""

_PREFIX = "sws_"
"""By which people, and programs that search for secrets, know a key when they see one."""

_SHAPE = re.compile(rf"{_PREFIX}[A-Za-z0-9_-]{{43}}")

_FIND = """
SELECT id::text, owner, scopes, revoked_at IS NOT NULL, coalesce(expires_at <= now(), false),
    coalesce(last_used_at < now() - interval '1 minute', true)
        AND current_setting('default_transaction_read_only') = 'off' AND NOT pg_is_in_recovery()
FROM api_key
WHERE hash = decode(%(hash)s, 'hex')"""

# Whoever meets another one at it leaves it to that: nobody waits for a time of last use.
_NOTE_USE = """
UPDATE api_key SET last_used_at = now()
WHERE id = (
    SELECT id FROM api_key
    WHERE id = %(id)s::uuid AND coalesce(last_used_at < now() - interval '1 minute', true)
    FOR UPDATE SKIP LOCKED
)"""

_CREATE = """
INSERT INTO api_key (owner, hash, scopes, label, expires_at)
VALUES (%(owner)s, decode(%(hash)s, 'hex'), %(scopes)s, %(label)s, now() + %(days)s * interval '1 day')
RETURNING id::text"""

_LIST = """
SELECT row_to_json(item)::text, k.created_at::text, k.id::text
FROM api_key k, LATERAL (
    SELECT k.id, k.label, k.scopes, k.created_at, k.expires_at, k.last_used_at, k.revoked_at
) AS item
WHERE k.owner = %(owner)s AND (k.created_at, k.id) > (%(created_at)s::timestamptz, %(id)s::uuid)
ORDER BY k.created_at, k.id
LIMIT %(fetch)s"""

HEAD = ("ID", "OWNER", "SCOPES", "CREATED", "EXPIRES", "LAST USE", "REVOKED", "LABEL")
"""What the columns of `key_rows` are."""

_ROWS = """
SELECT id::text, owner, array_to_string(scopes, ','), to_char(created_at, 'YYYY-MM-DD HH24:MI'),
    to_char(expires_at, 'YYYY-MM-DD HH24:MI'), to_char(last_used_at, 'YYYY-MM-DD HH24:MI'),
    to_char(revoked_at, 'YYYY-MM-DD HH24:MI'), label
FROM api_key
WHERE owner = coalesce(%(owner)s, owner)
ORDER BY owner, api_key.created_at, api_key.id"""

_BEFORE_ALL = ("-infinity", "00000000-0000-0000-0000-000000000000")

# The first time counts; a key that was revoked before is found all the same.
_REVOKE = """
UPDATE api_key SET revoked_at = coalesce(revoked_at, now())
WHERE id = %(id)s::uuid AND owner = coalesce(%(owner)s, owner)
RETURNING id::text"""


def new_key() -> str:
    """A key with 256 random bits."""
    return _PREFIX + secrets.token_urlsafe(32)


def can_be_key(text: str) -> bool:
    """Whether it looks like one."""
    return _SHAPE.fullmatch(text) is not None


class Found(NamedTuple):
    """What the table says of a key."""

    id: str
    owner: str
    scopes: list[str]
    is_revoked: bool
    is_expired: bool
    is_use_unnoted: bool
    """Its last use was noted more than a minute ago, and can be noted now."""


def find_key(conn: connection, key: str) -> Found | None:
    """What is known of a key; None for one that was never given out."""
    rows = fetch(conn, _FIND, {"hash": _hash(key)})
    return Found(*rows[0]) if rows else None


def note_use(conn: connection, key_id: str) -> None:
    """Write down that the key is being used, unless somebody does at this moment."""
    with conn.cursor() as cur:
        cur.execute(_NOTE_USE, {"id": key_id})


def create_key(
    conn: connection, key: str, owner: str, scopes: Sequence[str], label: str = "", days: float | None = None
) -> str:
    """Store a new key, which expires after so many days, or never, and return its id."""
    values = {"owner": owner, "scopes": list(scopes), "label": label, "days": days, "hash": _hash(key)}
    return str(fetch_text(conn, _CREATE, values))


def list_keys(conn: connection, owner: str, limit: int, after: Key | None) -> Page:
    """An owner's keys as JSON, the oldest first; the page's key is (created_at, id), both as text."""
    created_at, key_id = after or _BEFORE_ALL
    return fetch_page(conn, _LIST, {"owner": owner, "created_at": created_at, "id": key_id}, limit)


def key_rows(conn: connection, owner: str | None = None) -> list[Key]:
    """The keys, of this owner if one is named, as rows of text for people; a time is None where there is none."""
    return fetch(conn, _ROWS, {"owner": owner})


def revoke_key(conn: connection, key_id: str, owner: str | None = None) -> bool:
    """Have a key, of this owner if one is named, be refused from now on; whether there is one."""
    return fetch_text(conn, _REVOKE, {"id": key_id, "owner": owner}) is not None


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
