"""Changes at the same time, and changes that are sent twice: each is made once, to the version that it is of."""

import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from http import HTTPStatus
from typing import Any

import psycopg2
import pytest
import requests

from swagger_server.idempotency import _KEEP, _KEPT_ANSWER, _TAKE
from swagger_server.pool.statements import leaves_session_alone
from tests.service.conftest import environment_for
from tests.sites.support import PARIS, Caller
from tests.support.process import start_gunicorn, wait_until
from tests.support.servers import Database

CLIENTS = 16
KEY = "0c5b6d0e-9a5e-4a83-9e55-0a4f1d3f1a77"
WAITING = """
SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE NOT granted AND locktype = %s AND datname = current_database()"""

ROW_WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event IN ('transactionid', 'tuple')"""


def count(database: Database, table: str = "site") -> int:
    return int(database.execute(f"SELECT count(*) FROM {table}")[0][0])


def wait_for_waiting(database: Database, kind: str, many: int = 1) -> None:
    """Until so many wait for a lock of that kind."""
    wait_until(lambda: database.execute(WAITING, (kind,)) == [(many,)])


@contextmanager
def held(database: Database, lock: str) -> Iterator[psycopg2.extensions.connection]:
    """A transaction that has run `lock`, until it is committed or the block ends."""
    with closing(database.connect()) as holder, holder.cursor() as cur:
        cur.execute(lock)
        yield holder


@contextmanager
def in_threads(*calls: Callable[[], Any]) -> Iterator[list[Future[Any]]]:
    with ThreadPoolExecutor(len(calls)) as threads:
        yield [threads.submit(call) for call in calls]


# If-Match


def test_a_change_of_another_version_is_refused(ada: Caller, empty: Database) -> None:
    site = ada.add()["id"]
    ada.patch(site, {"name": "Two"}, If_Match='"1"')
    for stale in ('"1"', '"3"', 'W/"1"', '"x"', '""', "1", '"1", "3"', '"99999999999999999999"'):
        answer = ada.ask("PATCH", f"/sites/{site}", {"name": "No"}, {"If-Match": stale})
        assert (answer.status_code, answer.headers["ETag"]) == (412, '"2"')
        assert ada.put(site, {"name": "No"}, status=412, If_Match=stale)["title"] == "Precondition Failed"
        assert ada.ask("DELETE", f"/sites/{site}", headers={"If-Match": stale}).status_code == 412
    assert ada.get(f"/sites/{site}")["name"] == "Two"


@pytest.mark.parametrize("current", ['"1"', 'W/"1"', "*", '"7", "1"'])
def test_a_change_of_the_current_version_is_made(ada: Caller, empty: Database, current: str) -> None:
    site = ada.add()["id"]
    assert ada.put(site, {"name": "Two"}, If_Match=current)["name"] == "Two"
    other = ada.add()["id"]
    assert ada.ask("DELETE", f"/sites/{other}", headers={"If-Match": current}).status_code == 204


def test_a_tag_that_was_made_weak_by_compression_is_of_the_same_version(ada: Caller, empty: Database) -> None:
    site = ada.add(attributes={"x": "y" * 2000})["id"]
    answer = ada.ask("GET", f"/sites/{site}", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["ETag"] == 'W/"1"'
    assert ada.patch(site, {"name": "Two"}, If_Match=answer.headers["ETag"])["name"] == "Two"


@pytest.mark.parametrize(
    "methods", [("PUT", "PUT"), ("PATCH", "PATCH"), ("DELETE", "PUT"), ("PATCH", "DELETE")]
)
def test_of_two_changes_of_one_version_one_is_made(
    ada: Caller, empty: Database, methods: tuple[str, str]
) -> None:
    site = ada.add()["id"]

    def change(method: str) -> requests.Response:
        body = None if method == "DELETE" else {"name": "Two"}
        return ada.ask(method, f"/sites/{site}", body, {"If-Match": '"1"'})

    with (
        held(empty, "SELECT FROM site FOR UPDATE") as holder,
        in_threads(*(functools.partial(change, method) for method in methods)) as answers,
    ):
        wait_until(lambda: empty.execute(ROW_WAITING) == [(2,)])
        holder.commit()
    first, second = sorted(answer.result().status_code for answer in answers)
    assert first in (200, 204)
    assert second in (412, 404)
    assert empty.execute("SELECT version FROM site") in ([(2,)], [])


def test_of_sixteen_clients_each_success_is_one_version(ada: Caller, empty: Database) -> None:
    site = ada.add(attributes={"by": "nobody"})["id"]
    made: dict[int, str] = {}
    refused: list[int] = []
    start = threading.Barrier(CLIENTS)

    def client(number: int) -> None:
        mine = Caller(ada.url.removesuffix("/v1"), ada.key, ada.owner)
        start.wait()
        for turn in range(6):
            seen = mine.ask("GET", f"/sites/{site}").headers["ETag"]
            value = f"{number}-{turn}"
            body = {"name": "Shop", "attributes": {"by": value}}
            method = "PUT" if number % 2 else "PATCH"
            answer = mine.ask(method, f"/sites/{site}", body, {"If-Match": seen})
            if answer.status_code == 200:
                made[int(answer.headers["ETag"].strip('"'))] = value
            else:
                refused.append(answer.status_code)

    with ThreadPoolExecutor(CLIENTS) as threads:
        list(threads.map(client, range(CLIENTS)))
    ((version, by),) = empty.execute("SELECT version, attributes ->> 'by' FROM site")
    assert set(made) == set(range(2, version + 1))
    assert len(made) + len(refused) == CLIENTS * 6
    assert set(refused) == {412}
    assert by == made[version]


# Idempotency-Key


def keyed(caller: Caller, key: str = KEY, **site: Any) -> requests.Response:
    return caller.ask("POST", "/sites", {"name": "Shop", **site}, {"Idempotency-Key": key})


def same(one: requests.Response, other: requests.Response) -> bool:
    kept = ("Content-Type", "ETag", "Location")
    return (one.status_code, one.content, *map(one.headers.get, kept)) == (
        other.status_code,
        other.content,
        *map(other.headers.get, kept),
    )


def test_the_same_key_and_body_give_the_same_answer(ada: Caller, empty: Database) -> None:
    first = keyed(ada)
    assert first.status_code == 201
    ada.patch(first.json()["id"], {"name": "Changed since"})
    assert same(first, keyed(ada))
    assert keyed(ada, "another-key").json()["id"] != first.json()["id"]
    assert count(empty) == 2


def test_a_key_is_of_one_body(ada: Caller, empty: Database) -> None:
    keyed(ada)
    answer = keyed(ada, tags=["more"])
    assert (answer.status_code, answer.json()["title"]) == (422, HTTPStatus(422).phrase)
    assert count(empty) == 1


def test_an_answer_of_400_or_more_is_not_kept(ada: Caller, empty: Database) -> None:
    other = ada.add(external_id="a")["id"]
    assert keyed(ada, external_id="a").status_code == 409
    ada.ask("DELETE", f"/sites/{other}")
    assert keyed(ada, external_id="a").status_code == 201
    assert count(empty) == 1


@pytest.mark.parametrize("key", ["x" * 256, "schlüssel", "a b"])
def test_what_is_no_key_is_refused(ada: Caller, empty: Database, key: str) -> None:
    assert keyed(ada, key.encode().decode("latin-1")).status_code == 400
    assert count(empty) == 0


def test_of_two_at_once_the_second_waits_and_gets_the_answer_of_the_first(
    ada: Caller, empty: Database
) -> None:
    with (
        held(empty, "LOCK site IN SHARE MODE") as holder,
        in_threads(lambda: keyed(ada), lambda: keyed(ada)) as answers,
    ):
        wait_for_waiting(empty, "relation")  # the first has the key
        wait_for_waiting(empty, "transactionid")
        holder.commit()
    assert answers[0].result().status_code == 201
    assert same(answers[0].result(), answers[1].result())
    assert count(empty) == 1


def test_of_two_at_once_the_second_is_refused_for_another_body(ada: Caller, empty: Database) -> None:
    with (
        held(empty, "LOCK site IN SHARE MODE") as holder,
        in_threads(lambda: keyed(ada, tags=["a"]), lambda: keyed(ada, tags=["b"])) as answers,
    ):
        wait_for_waiting(empty, "relation")
        wait_for_waiting(empty, "transactionid")
        holder.commit()
    assert sorted(answer.result().status_code for answer in answers) == [201, 422]
    assert count(empty) == 1


def test_when_the_first_dies_half_way_the_second_does_the_work(ada: Caller, empty: Database) -> None:
    with (
        held(empty, "LOCK site IN SHARE MODE") as holder,
        in_threads(lambda: keyed(ada), lambda: keyed(ada)) as answers,
    ):
        wait_for_waiting(empty, "relation")
        wait_for_waiting(empty, "transactionid")
        empty.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted AND locktype = 'relation'"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        wait_until(lambda: any(answer.done() for answer in answers))
        wait_for_waiting(empty, "relation")  # the second, which has the key now
        holder.commit()
    assert sorted(answer.result().status_code for answer in answers) == [201, 503]
    assert keyed(ada).json()["id"] == ada.get("/sites")["items"][0]["id"]
    assert count(empty) == 1


def test_a_key_that_has_aged_is_taken_anew_and_old_ones_go(ada: Caller, bob: Caller, empty: Database) -> None:
    first = keyed(ada).json()["id"]
    for number in range(25):
        keyed(ada, str(number))
    keyed(bob)
    empty.execute("UPDATE idempotency_key SET created_at = now() - interval '25 hours'")
    again = keyed(ada, tags=["another body"])
    assert (again.status_code, again.json()["id"] != first) == (201, True)
    assert same(again, keyed(ada, tags=["another body"]))
    assert count(empty, "idempotency_key") == 17  # ten at a time
    keyed(ada, "one-more")
    keyed(ada, "two-more")
    assert count(empty, "idempotency_key") == 3


def test_aged_keys_go_though_their_owner_never_comes_back(ada: Caller, bob: Caller, empty: Database) -> None:
    keyed(bob, "gone")
    empty.execute("UPDATE idempotency_key SET created_at = now() - interval '25 hours'")
    keyed(bob, "fresh")
    keyed(bob, "almost")
    empty.execute("UPDATE idempotency_key SET created_at = now() - interval '23 hours' WHERE key = 'almost'")
    keyed(ada, "hers")
    assert empty.execute("SELECT owner, key FROM idempotency_key ORDER BY 1, 2") == [
        ("ada", "hers"),
        ("bob", "almost"),
        ("bob", "fresh"),
    ]


def test_no_more_than_long_answered_keys_are_open_to_who_removes_the_aged_ones(
    ada: Caller, bob: Caller, empty: Database
) -> None:
    keyed(bob, "old")
    keyed(bob, "new")
    empty.execute("UPDATE idempotency_key SET created_at = now() - interval '25 hours' WHERE key = 'old'")
    with closing(empty.connect()) as connection, connection.cursor() as cur:
        cur.execute("SET LOCAL ROLE swagger_server_sites; SET LOCAL request.owner = 'ada'")
        cur.execute("SELECT key FROM idempotency_key")
        assert cur.fetchall() == []
        cur.execute(
            "SET LOCAL request.housekeeping = 'idempotency_key'; DELETE FROM idempotency_key RETURNING key"
        )
        assert cur.fetchall() == [("old",)]
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cur.execute(
                "INSERT INTO idempotency_key (owner, key, operation, fingerprint) VALUES ('bob', 'x', '', '')"
            )
    assert count(empty, "idempotency_key") == 2


def test_a_write_under_a_key_leaves_its_session_as_it_was() -> None:
    assert all(map(leaves_session_alone, map(str.encode, (_TAKE, _KEPT_ANSWER, _KEEP))))


# Conflicts


@pytest.fixture
def clashing(empty: Database) -> Iterator[Callable[[str, int], None]]:
    """Have the next so many writes of sites fail with an SQLSTATE."""
    empty.execute("CREATE SEQUENCE clash")

    def begin(code: str, many: int) -> None:
        empty.execute(
            "CREATE OR REPLACE FUNCTION clash() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN"
            f" IF nextval('clash') <= {many} THEN RAISE EXCEPTION 'clash' USING ERRCODE = '{code}'; END IF;"
            " RETURN NEW; END $$;"
            "CREATE OR REPLACE TRIGGER clash BEFORE INSERT OR UPDATE ON site FOR EACH ROW EXECUTE FUNCTION clash()"
        )

    yield begin
    empty.execute("DROP FUNCTION IF EXISTS clash CASCADE; DROP SEQUENCE clash")


@pytest.mark.parametrize("code", ["40001", "40P01"])
def test_a_write_that_a_conflict_undid_is_run_again(
    ada: Caller, empty: Database, clashing: Callable[[str, int], None], code: str
) -> None:
    clashing(code, 3)
    site = keyed(ada)
    assert site.status_code == 201
    assert empty.execute("SELECT last_value FROM clash") == [(4,)]
    empty.execute("ALTER SEQUENCE clash RESTART")
    assert ada.patch(site.json()["id"], {"name": "New"}, If_Match='"1"')["name"] == "New"
    assert same(site, keyed(ada))
    assert empty.execute("SELECT count(*), max(version) FROM site") == [(1, 2)]


def test_a_conflict_that_does_not_end_is_told(
    ada: Caller, empty: Database, clashing: Callable[[str, int], None]
) -> None:
    clashing("40001", 10_000)
    answer = keyed(ada)
    assert (answer.status_code, answer.json()["title"]) == (409, "Conflict")
    assert "Please try again" in answer.json()["detail"]
    assert count(empty) == count(empty, "idempotency_key") == 0


def test_a_deadlock_is_nobodys_error(ada: Caller, empty: Database) -> None:
    site = ada.add()["id"]
    empty.execute(
        "CREATE FUNCTION cross_over() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF current_user = 'swagger_server_sites' THEN"
        " PERFORM pg_advisory_xact_lock(1), pg_advisory_xact_lock(2); END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER cross_over BEFORE UPDATE ON site FOR EACH ROW EXECUTE FUNCTION cross_over()"
    )
    try:
        with (
            held(empty, "SELECT pg_advisory_xact_lock(1)") as gate,
            held(empty, "SET deadlock_timeout = '1h'; SELECT pg_advisory_xact_lock(2)") as other,
            other.cursor() as cur,
            in_threads(
                lambda: ada.ask("PATCH", f"/sites/{site}", {"name": "Mine"}),
                lambda: (
                    wait_for_waiting(empty, "advisory"),
                    cur.execute("UPDATE site SET phone = 'theirs'"),
                    other.commit(),
                ),
            ) as done,
        ):
            wait_for_waiting(empty, "advisory")
            wait_for_waiting(empty, "transactionid")
            gate.commit()  # now each waits for what the other has, and PostgreSQL ends the request's transaction
        assert done[1].exception() is None
        assert done[0].result().status_code == 200
    finally:
        empty.execute("DROP FUNCTION cross_over CASCADE")
    assert empty.execute("SELECT name, phone FROM site") == [("Mine", "theirs")]


# Settings


@pytest.fixture(scope="module")
def strict(books: Database, ada: Caller) -> Iterator[Caller]:
    """Ada at a service with other settings, whose login is no superuser."""
    books.execute(
        "DO $$ BEGIN CREATE ROLE sites_login LOGIN;"
        " EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$;"
        "GRANT swagger_server_sites TO sites_login; GRANT SELECT, UPDATE ON api_key TO sites_login"
    )
    login = Database({**books.connect_kwargs, "user": "sites_login"})
    settings = {
        "SERVER_REQUIRE_IF_MATCH": "yes",
        "SERVER_IDEMPOTENCY_SECONDS": "60",
        "SERVER_DEADLINE": "3",
    }
    with start_gunicorn("-w", "1", env=environment_for({"default": login}, **settings)) as service:
        yield Caller(service.url, ada.key, ada.owner)


def test_a_change_may_have_to_say_what_it_changes(strict: Caller, empty: Database) -> None:
    site = strict.add()["id"]
    for refused in (
        strict.put(site, {"name": "X"}, status=428),
        strict.patch(site, {"name": "X"}, status=428),
        strict.ask("DELETE", f"/sites/{site}").json(),
    ):
        assert (refused["status"], refused["title"]) == (428, "Precondition Required")
    assert strict.patch(site, {"name": "Y"}, If_Match='"1"')["name"] == "Y"


def test_how_long_answers_are_kept_is_a_setting(strict: Caller, empty: Database) -> None:
    site = keyed(strict).json()["id"]
    empty.execute("UPDATE idempotency_key SET created_at = now() - interval '55 seconds'")
    assert keyed(strict).json()["id"] == site
    empty.execute("UPDATE idempotency_key SET created_at = now() - interval '61 seconds'")
    assert keyed(strict).json()["id"] != site


def test_a_login_that_is_no_superuser_does_as_well(strict: Caller, ada: Caller, empty: Database) -> None:
    site = strict.add(name="Kiosk", city_id=PARIS)
    assert strict.patch(site["id"], {"name": "Booth"}, If_Match="*")["country"] == "FR"
    assert strict.names() == ada.names() == ["Booth"]
    assert strict.ask("DELETE", f"/sites/{site['id']}", headers={"If-Match": '"2"'}).status_code == 204


def test_what_conflicts_until_its_deadline_is_ended(
    strict: Caller, empty: Database, clashing: Callable[[str, int], None]
) -> None:
    clashing("40001", 10_000)
    empty.execute(
        "CREATE FUNCTION rest() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN NEW; END $$;"
        "CREATE TRIGGER a_rest BEFORE INSERT ON site FOR EACH ROW EXECUTE FUNCTION rest()"
    )
    try:
        answer = keyed(strict)
    finally:
        empty.execute("DROP FUNCTION rest CASCADE")
    assert (answer.status_code, answer.json()["detail"]) == (504, "The request took too long.")
    ((attempts,),) = empty.execute("SELECT last_value FROM clash")
    assert 2 <= attempts <= 4
    assert count(empty) == count(empty, "idempotency_key") == 0
