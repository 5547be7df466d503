"""Under gevent: everything patched, psycopg2 with its wait callback. In a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

from tests.support.servers import Database

CHECKOUT = Path(__file__).resolve().parents[2]

PROGRAM = """
from gevent import monkey; monkey.patch_all()
from psycogreen.gevent import patch_psycopg; patch_psycopg()
import gevent, json, sys, threading
from swagger_server.pool import ConnectionPool, PoolOptions, PoolTimeout
from tests.pool.tools import ask, kill_sessions, request, run, pid_of
from tests.support.servers import Database

database = Database(json.loads(sys.argv[1]))
pool = ConnectionPool(1, 4, options=PoolOptions(timeout=10, query_timeout=0.5), **database.connect_kwargs)
seen = {}

order = []
def work(number):
    for _ in range(10):
        order.append(request(pool, "SELECT pg_sleep(0.002)::text"))
gevent.joinall([gevent.spawn(work, number) for number in range(16)], raise_error=True)
seen["requests"] = len(order)
seen["at most maxconn"] = pool.stats().connects <= 4

held = [pool.getconn() for _ in range(4)]
try:
    pool.getconn(timeout=0.05)
except PoolTimeout:
    seen["timeout"] = True
waiting = gevent.spawn(pool.getconn)
gevent.sleep(0)
pool.putconn(held.pop())
held.append(waiting.get(timeout=5))
killed = gevent.spawn(pool.getconn)
gevent.sleep(0)
killed.kill(block=False)
pool.putconn(held.pop())
killed.join()
held.append(pool.getconn())
seen["killed waiters lose no place"] = pool.stats().in_use == 4
for conn in held:
    pool.putconn(conn)

kill_sessions(database)
seen["after the kill"] = [request(pool) for _ in range(10)] == [1] * 10

with pool.connection() as conn:
    run(conn, "SET search_path = elsewhere")
seen["cleaned"] = request(pool, "SELECT current_setting('search_path')") != "elsewhere"

ticks = []
def tick():
    while True:
        ticks.append(1); gevent.sleep(0.01)
ticking = gevent.spawn(tick)
try:
    request(pool, "SELECT pg_sleep(10)::text")
except Exception as error:
    seen["cut"] = type(error).__name__
ticking.kill()
seen["others went on meanwhile"] = len(ticks) > 10
seen["works on"] = request(pool)
conn = pool.getconn(); del conn
seen["leak"] = request(pool) and [pool.getconn() for _ in range(4)] and pool.stats().leaked
pool.closeall()
print(json.dumps(seen))
"""


def test_under_gevent_the_pool_keeps_its_promises(database: Database) -> None:
    arguments = [sys.executable, "-c", PROGRAM, json.dumps(database.connect_kwargs)]
    done = subprocess.run(arguments, cwd=CHECKOUT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "requests": 160,
        "at most maxconn": True,
        "timeout": True,
        "killed waiters lose no place": True,
        "after the kill": True,
        "cleaned": True,
        "cut": "OperationalError",
        "others went on meanwhile": True,
        "works on": 1,
        "leak": 1,
    }
