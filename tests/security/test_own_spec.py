"""A spec of somebody's own: which scope its operations need, what its controllers are told, and none at all."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from connexion.exceptions import ConnexionException
from psycopg2.extensions import connection
from werkzeug.test import Client, TestResponse

from swagger_server.app import create_app
from swagger_server.config import JwtSettings, ServerSettings, Settings
from swagger_server.key_store import find_key
from swagger_server.serving import Application
from tests.support.servers import Database

from .conftest import Make

SPEC = Path(__file__).with_name("spec.yaml")
QUIET = Settings(server=ServerSettings(metrics=False, pool_page=False))
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


def application(database: Database, spec: Path = SPEC, settings: Settings = QUIET) -> Application:
    return create_app(settings, {"default": database.connect_kwargs}, spec=spec)


@pytest.fixture(scope="module")
def client(database_of_keys: Database) -> Iterator[Client]:
    app = application(database_of_keys)
    app.start()
    yield Client(app)
    app.stop()


def ask(client: Client, key: str | None, method: str = "GET", path: str = "/things") -> TestResponse:
    body = {"json": {}} if method == "POST" and path == "/things" else {}
    return client.open(
        f"/own{path}", method=method, headers={"X-API-Key": key} if key is not None else {}, **body
    )


@pytest.mark.parametrize("method", METHODS)
def test_reading_and_writing_are_scopes_of_their_own(client: Client, make: Make, method: str):
    needed, other = ("read", "write") if method in ("GET", "HEAD") else ("write", "read")
    for scopes, status in {(needed,): 200, ("admin",): 200, ("read", "write"): 200, (other,): 403}.items():
        answer = ask(client, make("ada", *scopes)[0], method)
        assert answer.status_code == status, (scopes, answer.text)
    if method != "HEAD":
        assert answer.json["detail"] == f"This needs the scope {needed}."
        assert ask(client, make("bob")[0], method).json["user"] == "bob"


def test_an_operation_may_say_another_scope(client: Client, make: Make):
    assert ask(client, make("ada", "read")[0], "POST", "/search").json == {"user": "ada"}
    refused = ask(client, make("ada", "write")[0], "POST", "/search")
    assert (refused.status_code, refused.json["detail"]) == (403, "This needs the scope read.")


def test_a_controller_is_told_owner_and_scopes(client: Client, make: Make):
    answer = ask(client, make("ada", "write", "read")[0])
    assert answer.json == {"user": "ada", "sub": "ada", "scopes": ["write", "read"]}


def test_who_is_calling_is_asked_before_what_for(client: Client, make: Make):
    wrong = {"data": "{", "content_type": "application/json"}
    key, _ = make("ada", "read")
    statuses = [
        client.post("/own/things?colour=red", headers=headers, **wrong).status_code
        for headers in ({}, {"X-API-Key": key}, {"X-API-Key": make()[0]})
    ]
    assert statuses == [401, 403, 400]


def test_each_operation_says_how_it_wants_to_be_asked(client: Client):
    key = 'ApiKey in="header", name="X-API-Key"'
    for path, challenge, way in [
        ("/things", key, "the header X-API-Key"),
        ("/by-token", "Bearer", "the header Authorization: Bearer"),
        ("/by-both", f"{key}, Bearer", "the header X-API-Key and the header Authorization: Bearer"),
        (
            "/by-either",
            'Bearer, ApiKey in="query", name="key"',
            "the header Authorization: Bearer, or by the query parameter key",
        ),
    ]:
        answer = ask(client, None, path=path)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, challenge)
        assert answer.json["detail"] == f"Say who is calling, by {way}."
    assert ask(client, None, path="/open").json == {"user": None}


def test_a_key_that_may_be_left_out_must_be_good_where_it_is_sent(client: Client, make: Make):
    assert ask(client, None, path="/maybe").json == {"user": None}
    assert ask(client, make("ada", "read")[0], path="/maybe").json == {"user": "ada"}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connection_that_dies_under_the_look_up_is_nobodys_fault(
    client: Client,
    make: Make,
    database_of_keys: Database,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
):
    key, _ = make()
    killed: list[int] = []

    def die_first(conn: connection, asked: str) -> object:
        if len(killed) < 3:
            killed.append(conn.info.backend_pid)
            database_of_keys.execute("SELECT pg_terminate_backend(%s, 5000)", (killed[-1],))
        return find_key(conn, asked)

    monkeypatch.setattr("swagger_server.security.api_keys.find_key", die_first)
    assert ask(client, key, method).status_code == 200
    assert len(set(killed)) == 3


def test_a_scope_that_there_is_not_stops_the_start(database_of_keys: Database, tmp_path: Path):
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC.read_text().replace("x-required-scope: read", "x-required-scope: reed"))
    with pytest.raises(ConnexionException) as caught:
        application(database_of_keys, spec)
    assert str(caught.value) == (
        "tests.security.controllers.search: x-required-scope must be one of read, write, admin, not 'reed'"
    )


def test_a_spec_without_security_needs_no_tables(database: Database, tmp_path: Path):
    spec = tmp_path / "spec.yaml"
    operation = (
        "{operationId: tests.security.controllers.open_to_all, responses: {'200': {description: any}}}"
    )
    spec.write_text(
        f"openapi: 3.0.3\ninfo: {{title: t, version: '1'}}\npaths:\n  /open:\n    get: {operation}\n"
    )
    tokens = JwtSettings(jwks="https://login.example/jwks", issuer="i", audience="a")
    app = application(database, spec, replace(QUIET, jwt=tokens))
    app.start()
    try:
        assert Client(app).get("/open", headers={"X-API-Key": "x"}).json == {"user": None}
    finally:
        app.stop()
