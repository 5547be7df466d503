"""The demonstration in pg_stat_activity: four workers, four backends, the same ones for ever."""

from urllib.request import urlopen

from tests.service.conftest import LEDGER, environment_for
from tests.support.process import start_gunicorn, wait_until
from tests.support.servers import Database

BACKENDS = """SELECT pid, backend_start, application_name FROM pg_stat_activity
    WHERE datname = %s AND application_name LIKE 'swagger_server%%' ORDER BY pid"""


def test_four_workers_hold_four_backends_and_keep_them(ledger_database: Database):
    env = environment_for({"default": ledger_database})
    with start_gunicorn("-w", "4", env=env, app=LEDGER) as service:
        wait_until(lambda: service.log().count("Application startup complete") == 4)
        at_start = ledger_database.execute(BACKENDS, (ledger_database.name,))
        workers = {f"swagger_server worker {pid}" for pid in service.workers()}
        assert len(at_start) == 4
        assert {name for _, _, name in at_start} == workers
        for calls in (8, 2000):
            for _ in range(calls):
                # Each call on a connection of its own, as it is with many clients, reaches any worker.
                with urlopen(f"{service.url}/ledger/session", timeout=10) as answer:
                    assert answer.status == 200
            assert ledger_database.execute(BACKENDS, (ledger_database.name,)) == at_start
