"""API keys over HTTP: who gets in, who does not, and what is told to whom."""

import secrets
import threading
import uuid
from contextlib import closing

import pytest
import requests

from swagger_server.schema import migrate
from tests.api.contract import Contract
from tests.service.conftest import environment_for
from tests.support.process import OWN_WORKER, Gunicorn, start_gunicorn, wait_until
from tests.support.servers import Database, PrivateServer

from .conftest import Make, ask, make_key

CONTRACT = Contract()
CHALLENGE = 'ApiKey in="header", name="X-API-Key", Bearer'

# Connexion's own middleware takes what has not been compiled, such as a request that wants to upgrade.
BOTH_WAYS = pytest.mark.parametrize("headers", [{}, {"Upgrade": "h2c"}], ids=["compiled", "passed-through"])


def refused(answer: requests.Response, status: int, detail: str) -> None:
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["detail"]) == (status, status, detail)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    CONTRACT.check(answer)


@BOTH_WAYS
def test_a_key_opens_what_is_its_owners(service: Gunicorn, make: Make, headers: dict[str, str]):
    owner = f"owner-{uuid.uuid4()}"
    key, key_id = make(owner, "read", "admin", label="till", days=2)
    make(f"not-{owner}")
    answer = ask(service, key, **headers)
    assert answer.status_code == 200
    CONTRACT.check(answer)
    (item,) = answer.json()["items"]
    assert set(item) == {
        "id",
        "label",
        "scopes",
        "created_at",
        "expires_at",
        "last_used_at",
        "revoked_at",
    }
    assert (item["id"], item["label"], item["scopes"]) == (key_id, "till", ["read", "admin"])
    assert item["created_at"] <= item["last_used_at"] < item["expires_at"]
    assert item["revoked_at"] is None
    assert key not in answer.text


@BOTH_WAYS
def test_without_a_key_nobody_gets_in(service: Gunicorn, headers: dict[str, str]):
    answer = ask(service, **headers)
    refused(
        answer,
        401,
        "Say who is calling, by the header X-API-Key, or by the header Authorization: Bearer.",
    )
    assert answer.headers["WWW-Authenticate"] == CHALLENGE


@BOTH_WAYS
@pytest.mark.parametrize(
    "key",
    [
        pytest.param("sws_" + secrets.token_urlsafe(32), id="right but for its value"),
        "sws_" + "x" * 42,
        "sws_" + "x" * 44,
        "SWS_" + "x" * 43,
        "sws_" + "x" * 42 + "\u00e9",
        "",
        "' OR '1'='1",
        "x" * 4000,
        "None",
    ],
)
def test_a_key_that_nobody_was_given_is_refused(service: Gunicorn, key: str, headers: dict[str, str]):
    answer = requests.get(
        f"{service.url}/v1/keys", headers={"X-API-Key": key.encode("latin-1"), **headers}, timeout=30
    )
    refused(answer, 401, "This API key is not known.")
    assert answer.headers["WWW-Authenticate"] == CHALLENGE


@BOTH_WAYS
def test_a_key_fails_from_the_moment_that_it_is_revoked_or_expires(
    service: Gunicorn, make: Make, database_of_keys: Database, headers: dict[str, str]
):
    for column, state in (("revoked_at", "has been revoked"), ("expires_at", "has expired")):
        key, key_id = make()
        assert ask(service, key, **headers).status_code == 200
        database_of_keys.execute(f"UPDATE api_key SET {column} = now() WHERE id = %s", (key_id,))
        answer = ask(service, key, **headers)
        refused(answer, 401, f"This API key {state}.")
        assert answer.headers["WWW-Authenticate"] == CHALLENGE
        assert key_id in service.log()


@BOTH_WAYS
@pytest.mark.parametrize("scopes", [("read",), ("write",), ("read", "write")])
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_a_scope_that_lacks_is_named(
    service: Gunicorn,
    make: Make,
    database_of_keys: Database,
    scopes: tuple[str, ...],
    method: str,
    headers: dict[str, str],
):
    key, key_id = make("ada", *scopes)
    answer = ask(service, key, method, f"/keys/{key_id}" if method == "DELETE" else "/keys", **headers)
    if method == "HEAD":
        assert (answer.status_code, answer.content) == (403, b"")
    else:
        refused(answer, 403, "This needs the scope admin.")
    revoked = database_of_keys.execute("SELECT revoked_at FROM api_key WHERE id = %s", (key_id,))
    assert revoked == [(None,)]


def test_an_owner_revokes_a_key_and_nobody_elses(service: Gunicorn, make: Make):
    key, key_id = make("ada")
    leaked, leaked_id = make("ada")
    others, others_id = make("bob")
    for wrong in (others_id, str(uuid.uuid4())):
        answer = ask(service, key, "DELETE", f"/keys/{wrong}")
        refused(answer, 404, f"You have no key with the id {wrong}.")
    assert ask(service, others).status_code == 200
    for _ in range(2):
        answer = ask(service, key, "DELETE", f"/keys/{leaked_id.upper()}")
        assert (answer.status_code, answer.content) == (204, b"")
        CONTRACT.check(answer)
    refused(ask(service, leaked), 401, "This API key has been revoked.")
    assert ask(service, key, "DELETE", f"/keys/{key_id}").status_code == 204
    refused(ask(service, key), 401, "This API key has been revoked.")


@pytest.mark.parametrize("wrong", ["1", "x" * 36, "7d4cf5f0-3a4e-4f6c-9f43-1f3a9c1f5a1g", "%00"])
def test_an_id_that_can_be_none_is_refused(service: Gunicorn, make: Make, wrong: str):
    assert ask(service, make()[0], "DELETE", f"/keys/{wrong}").status_code == 400


def test_the_list_comes_in_pages_the_oldest_first(service: Gunicorn, make: Make):
    owner = f"owner-{uuid.uuid4()}"
    keys = [make(owner) for _ in range(5)]
    path, seen = "/keys?limit=2", []
    while path:
        page = ask(service, keys[0][0], path=path).json()
        seen.append([item["id"] for item in page["items"]])
        path = (page["next"] or "").partition("/v1")[2]
    ids = [key_id for _, key_id in keys]
    assert seen == [ids[:2], ids[2:4], ids[4:]]


def test_the_time_of_last_use_is_written_once_a_minute(
    service: Gunicorn, make: Make, database_of_keys: Database
):
    key, key_id = make("ada", "admin")

    def used() -> object:
        return database_of_keys.execute(
            "SELECT last_used_at, now() - last_used_at < interval '20 seconds' FROM api_key WHERE id = %s",
            (key_id,),
        )[0]

    assert used() == (None, None)
    ask(service, key)
    first = used()
    assert first[1] is True
    ask(service, key)
    assert used()[0] == first[0]
    database_of_keys.execute(
        "UPDATE api_key SET last_used_at = now() - interval '61 seconds' WHERE id = %s", (key_id,)
    )
    ask(service, key)
    assert used()[0] > first[0]
    assert used()[1] is True


def test_nobody_waits_for_the_time_of_last_use(service: Gunicorn, make: Make, database_of_keys: Database):
    key, key_id = make(f"owner-{uuid.uuid4()}")
    with closing(database_of_keys.connect()) as holder, holder.cursor() as cursor:
        cursor.execute("SELECT FROM api_key WHERE id = %s FOR UPDATE", (key_id,))
        answer = ask(service, key)
        assert answer.status_code == 200
        assert answer.json()["items"][0]["last_used_at"] is None
    assert [line for line in service.log().splitlines() if key_id in line and "not noted" in line] == []


def test_a_database_that_cannot_be_written_to_lets_keys_in(database: Database):
    with closing(database.connect()) as conn:
        migrate(conn)
    key, _ = make_key(database)
    database.execute(f"ALTER DATABASE {database.name} SET default_transaction_read_only = on")
    with start_gunicorn("-w", "1", env=environment_for({"default": database})) as service:
        answers = [ask(service, key) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 200]
        assert answers[-1].json()["items"][0]["last_used_at"] is None
        assert "not noted" not in service.log()


def test_no_key_is_ever_written_down(service: Gunicorn, make: Make, database_of_keys: Database):
    good, key_id = make()
    bad = "sws_" + secrets.token_urlsafe(32)
    malformed = secrets.token_urlsafe(20)
    expired, _ = make("ada", "admin", days=-1)
    answers = [ask(service, key) for key in (good, bad, malformed, expired)]
    answers.append(requests.get(f"{service.url}/metrics", timeout=30))
    assert [answer.status_code for answer in answers] == [200, 401, 401, 401, 200]
    # The last line of the log is there once the next request has been answered.
    ask(service, good, X_Request_ID=f"after-{key_id}")
    wait_until(lambda: f"after-{key_id}" in service.log())
    rows = str(database_of_keys.execute("SELECT api_key::text FROM api_key"))
    told = "".join(answer.text + str(answer.headers) for answer in answers) + service.log() + rows
    for key in (good, bad, malformed, expired):
        assert key not in told
        assert key.removeprefix("sws_")[:20] not in told


def test_answers_are_for_their_caller_alone(service: Gunicorn, make: Make):
    key, _ = make()
    ask(service, key)
    answer = ask(service, key)
    assert answer.headers["Cache-Control"] == "private, no-cache"
    again = ask(service, key, If_None_Match=answer.headers["ETag"])
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["Cache-Control"] == "private, no-cache"
    # The tag alone opens nothing.
    assert ask(service, None, If_None_Match=answer.headers["ETag"]).status_code == 401


def test_a_page_of_another_origin_may_send_its_key(service: Gunicorn, make: Make):
    origin = {"Origin": "https://shop.example"}
    asked = {
        **origin,
        "Access-Control-Request-Method": "DELETE",
        "Access-Control-Request-Headers": "authorization, x-api-key",
    }
    preflight = requests.options(f"{service.url}/v1/keys/{uuid.uuid4()}", headers=asked, timeout=30)
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert "DELETE" in preflight.headers["Access-Control-Allow-Methods"]
    assert preflight.headers["Access-Control-Allow-Headers"] == "authorization, x-api-key"
    for key, status in ((make()[0], 200), (None, 401)):
        answer = ask(service, key, **origin)
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (status, "*")
    assert "WWW-Authenticate" in answer.headers["Access-Control-Expose-Headers"]


def test_what_belongs_to_nobody_stays_open(service: Gunicorn):
    answer = ask(service, "no key at all", path="/countries")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "max-age=300"


def test_many_with_one_connection_do_not_wait_for_each_other_for_ever(database_of_keys: Database, make: Make):
    key, _ = make()
    env = environment_for({"default": database_of_keys}, POOL_MIN="1", POOL_MAX="1")
    with start_gunicorn("-k", "gthread", "-w", "1", "--threads", "8", env=env) as service:
        statuses: list[int] = []
        threads = [
            threading.Thread(target=lambda: statuses.extend(ask(service, key).status_code for _ in range(5)))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert statuses == [200] * 40


@pytest.mark.parametrize("worker", ["gthread", OWN_WORKER])
def test_while_the_database_is_down_nobody_is_told_that_the_key_is_wrong(
    private_server: PrivateServer, worker: str
):
    database = private_server.database()
    with closing(database.connect()) as conn:
        migrate(conn)
    key, _ = make_key(database)
    env = environment_for({"default": database}, POOL_TIMEOUT="1", POOL_OUTAGE_GRACE="0")
    with start_gunicorn("-k", worker, "-w", "1", env=env) as service:
        assert ask(service, key).status_code == 200
        private_server.stop("immediate")
        for headers in ({}, {"Upgrade": "h2c"}):
            answer = ask(service, key, **headers)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
            assert answer.json()["title"] == "Service Unavailable"
        private_server.start()
        wait_until(lambda: ask(service, key).status_code == 200)
        # All connections die under requests, which go on with others.
        database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND application_name LIKE 'swagger%%worker%%'"
        )
        assert [ask(service, key).status_code for _ in range(5)] == [200] * 5
