"""Idempotency-Key: a write that is sent again is not done again, and gets the answer that it had the first time.

The key is taken in the transaction of the write itself, so that it is taken if and only if the write is done. Of two
at once the second waits in the database for the first one's commit, and then has its answer; if the first one fails,
or its server dies, the second does the work. An answer of 400 or more is not kept, as nothing was written. Keys are
their owner's, who must have been claimed (`db.act_as`). Must not know what is written.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import psycopg2
from flask import Response, current_app, g, request

from swagger_server.encoder import dumps
from swagger_server.problems import BadRequest, Problem
from swagger_server.rows import fetch

HEADER = "Idempotency-Key"

KEPT = "SWAGGER_SERVER_IDEMPOTENCY_SECONDS"
"""The app's setting: how long answers are kept."""

_LONGEST_KEY = 255
_HEADERS = ("Content-Type", "ETag", "Location")
"""What is kept of an answer's headers. The others are made anew."""

_TAKE = """
INSERT INTO idempotency_key AS k (owner, key, operation, fingerprint)
VALUES (current_setting('request.owner'), %(key)s, %(operation)s, %(fingerprint)s)
ON CONFLICT (owner, key) DO UPDATE
SET operation = excluded.operation, fingerprint = excluded.fingerprint, created_at = excluded.created_at,
    status = NULL, headers = NULL, body = NULL
WHERE k.created_at < now() - make_interval(secs => %(seconds)s)
RETURNING true"""

_KEPT_ANSWER = """
SELECT operation, fingerprint, status, headers::text, body FROM idempotency_key
WHERE owner = current_setting('request.owner') AND key = %(key)s"""

# Old ones go in passing, anybody's, a few at a time. Not to the second: a key that has just been found to be kept must
# still be there when its answer is read.
_KEEP = """
UPDATE idempotency_key SET status = %(status)s, headers = %(headers)s, body = %(body)s
WHERE owner = current_setting('request.owner') AND key = %(key)s;
SET LOCAL request.housekeeping = 'idempotency_key';
DELETE FROM idempotency_key WHERE (owner, key) IN (
    SELECT owner, key FROM idempotency_key WHERE created_at < now() - make_interval(secs => %(seconds)s + 600)
    ORDER BY created_at LIMIT 10 FOR UPDATE SKIP LOCKED);
SET LOCAL request.housekeeping = ''"""


def once(make: Callable[[], Response], fingerprint: bytes | None = None) -> Response:
    """What `make` answers; where the request carries a key that was used before, the answer of that time.

    `make` writes on `g.db` and commits nothing, and its answer is whole, no stream. `fingerprint` is of what was sent,
    when not of the body in memory. Waits for another request with the key. Raises Problem: 400 for what is no key,
    422 for one that was used for something else.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return make()
    asked = {
        "key": _checked(key),
        "operation": f"{request.method} {request.path}",
        "fingerprint": psycopg2.Binary(fingerprint or hashlib.sha256(request.get_data()).digest()),
        "seconds": current_app.config.get(KEPT, 86_400),
    }
    if not fetch(g.db, _TAKE, asked):
        return _kept(asked)
    response = make()
    if response.status_code < 400:
        _keep(asked, response)
    return response


def _checked(key: str) -> str:
    if not (0 < len(key) <= _LONGEST_KEY and key.isascii() and key.isprintable()):
        raise BadRequest(f"{HEADER} is to have 1 to {_LONGEST_KEY} printable characters of ASCII.")
    return key


def _kept(asked: dict[str, Any]) -> Response:
    # The row is there: it was committed, and only what is older than a kept one is ever removed.
    ((operation, fingerprint, status, headers, body),) = fetch(g.db, _KEPT_ANSWER, asked)
    if operation != asked["operation"] or bytes(fingerprint) != asked["fingerprint"].adapted:
        raise Problem(422, f"This {HEADER} was used for another request. Take a new one for each.")
    return Response(bytes(body), status, json.loads(headers))


def _keep(asked: dict[str, Any], response: Response) -> None:
    kept = {name: response.headers[name] for name in _HEADERS if name in response.headers}
    answer = {
        "status": response.status_code,
        "headers": dumps(kept),
        "body": psycopg2.Binary(response.get_data()),
    }
    with g.db.cursor() as cur:
        cur.execute(_KEEP, {**asked, **answer})
