"""Controllers of a service that is not about places, as somebody else would write them."""

import contextlib
import datetime
import decimal
import itertools
import uuid
from collections.abc import Iterator
from dataclasses import asdict

import psycopg2
from flask import Response, current_app, g, request, stream_with_context

from swagger_server import db
from swagger_server.db import get_db, transaction
from swagger_server.encoder import json_response
from swagger_server.problems import NotFound

INSERT = "INSERT INTO entry (name, amount) VALUES (%s, %s) RETURNING number"


OWNERS = {"right": "ada", "second": "ada", "bobs": "bob"}


def check_key(key):
    return {"sub": OWNERS[key]} if key in OWNERS else None


def list_entries():
    with g.db.cursor() as cur:
        cur.execute("SELECT number, name, amount FROM entry ORDER BY number")
        return [{"number": n, "name": name, "amount": amount} for n, name, amount in cur.fetchall()]


def create(body):
    with g.db.cursor() as cur:
        cur.execute(INSERT, (body["name"], body["amount"]))
        return {"number": cur.fetchone()[0]}, 201


def get(number):
    with g.db.cursor() as cur:
        cur.execute("SELECT row_to_json(e)::text FROM entry e WHERE number = %s", (number,))
        row = cur.fetchone()
    if row is None:
        raise NotFound(f"There is no entry {number}.")
    return json_response(row[0])


def delete(number):
    with g.db.cursor() as cur:
        cur.execute("DELETE FROM entry WHERE number = %s", (number,))
        if not cur.rowcount:
            raise NotFound(f"There is no entry {number}.")
    return None, 204


def third_time_lucky(body):
    attempt = next(_attempts)
    with g.db.cursor() as cur:
        cur.execute(INSERT, (body["name"], body["amount"]))
        if attempt % 3:
            cur.execute("DO $$ BEGIN RAISE deadlock_detected; END $$")
    return {"attempt": attempt}, 201


_attempts = itertools.count(1)


def commit_then_conflict(by):
    if by == "block":
        with get_db() as connection, connection.cursor() as cur:
            cur.execute(INSERT, ("once", 1))
    else:
        g.db.autocommit = True
        create({"name": "once", "amount": 1})
    with g.db.cursor() as cur:
        cur.execute("DO $$ BEGIN RAISE serialization_failure; END $$")


def write_then_raise():
    create({"name": "raised", "amount": 1})
    raise ValueError("the controller failed after its write")


def write_then_refuse():
    create({"name": "refused", "amount": 1})
    return {"refused": True}, 422


def write_in_a_get():
    return create({"name": "sneaked in", "amount": 1})


def write_what_fails_at_commit():
    with g.db.cursor() as cur:
        cur.execute("INSERT INTO deferred (entry) VALUES (-1)")
    return {"stored": True}


def committed_block():
    with get_db() as conn, conn.cursor() as cur:
        cur.execute(INSERT, ("in the block", 1))
    try:
        with get_db() as conn, conn.cursor() as cur:
            cur.execute(INSERT, ("undone block", 1))
            raise LookupError("undo this block only")
    except LookupError:
        pass
    create({"name": "undone with it", "amount": 1})
    raise ValueError("fail after the block")


SESSION = """SELECT pg_backend_pid(), current_setting('transaction_read_only'),
    current_setting('statement_timeout'), current_setting('application_name'),
    pg_is_in_recovery()"""


def session():
    first, second = g.db, get_db()
    with first.cursor(cursor_factory=psycopg2.extensions.cursor) as cur:
        cur.execute(SESSION)
        pid, read_only, timeout, application, in_recovery = cur.fetchone()
    pool = db.databases(current_app)["default"].open()
    stats = pool.stats()
    return {
        "pid": pid,
        "read_only": read_only,
        "statement_timeout": timeout,
        "application_name": application,
        "in_recovery": in_recovery,
        "same_connection": first is second,
        "in_use": stats.in_use,
        "checkouts": stats.gets,
        "options": {**asdict(pool.options), "minconn": pool.minconn, "maxconn": pool.maxconn},
        "row": _a_row(first),
    }


def _a_row(conn):
    with conn.cursor() as cur:
        cur.execute("SELECT 1 AS one")
        return cur.fetchone()


def consistent():
    seen = []
    with transaction() as conn, conn.cursor() as cur:
        for _ in range(2):
            cur.execute("SELECT now()::text, current_setting('transaction_read_only')")
            seen.append(cur.fetchone())
    (first, read_only), (second, _) = seen
    return {"same_transaction": first == second, "read_only": read_only}


def both_databases():
    found = {}
    for name in ("default", "other"):
        with get_db(name).cursor() as cur:
            cur.execute("SELECT current_database(), pg_backend_pid()")
            found[name] = cur.fetchone()
    return found


def lost():
    with g.db.cursor() as cur, contextlib.suppress(psycopg2.OperationalError):
        cur.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    return {"connection": g.db.closed}


def sleep(seconds):
    with g.db.cursor() as cur:
        cur.execute("SELECT pg_sleep(%s)", (seconds,))
    return {"slept": seconds}


def count_slowly(seconds):
    with g.db.cursor() as cur:
        cur.execute("SELECT count(*), pg_is_in_recovery() FROM entry, pg_sleep(%s)", (seconds,))
        count, in_recovery = cur.fetchone()
    return {"count": count, "in_recovery": in_recovery}


# In the select list the rows are made as they are fetched; in FROM all of them would be made before the first.
SERIES = "SELECT generate_series(1, %s), current_setting('transaction_read_only')"


def stream(rows):
    def lines() -> Iterator[str]:
        with transaction() as conn, conn.cursor("export") as cur:
            cur.itersize = 1000
            cur.execute(SERIES, (rows,))
            for number, read_only in cur:
                yield f"{number} {read_only}\n"

    return Response(stream_with_context(lines()), content_type="text/plain")


def values():
    return {
        "decimal": decimal.Decimal("1.10"),
        "date": datetime.date(2024, 2, 29),
        "time": datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.UTC),
        "uuid": uuid.UUID(int=1),
        "text": "Köln",
    }


def upload():
    file = request.files["file"]
    return {"name": file.filename, "size": len(file.read())}


def secret(user):
    return {"user": user}


def keep_secret(user):
    return {"kept": user}
