"""`python -m swagger_server keys` as real processes, and that what it makes opens the service."""

import re
import uuid

import pytest

from tests.cli.support import settings_for
from tests.support.process import Gunicorn, run_cli
from tests.support.servers import Database

from .conftest import ask


@pytest.fixture
def env(database_of_keys: Database, tmp_path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "empty.ini").touch()
    monkeypatch.setenv("SWAGGER_SERVER_CONFIG", str(tmp_path / "empty.ini"))
    return settings_for(database_of_keys)


def test_a_key_is_shown_once_opens_and_is_revoked(service: Gunicorn, database_of_keys: Database, env):
    owner = f"owner {uuid.uuid4()}"
    options = ["--scopes", "admin,read", "--label", "ünter test", "--expires", "30"]
    made = run_cli("keys", "create", "--owner", owner, *options, env=env)
    assert made.returncode == 0
    key = made.stdout.removesuffix("\n")
    assert re.fullmatch("sws_[A-Za-z0-9_-]{43}", key)
    match = re.fullmatch("id ([0-9a-f-]{36}); the key is shown this once\n", made.stderr)
    assert match
    key_id = match[1]
    (item,) = ask(service, key).json()["items"]
    assert (item["id"], item["label"], item["scopes"]) == (key_id, "ünter test", ["read", "admin"])
    days = "SELECT round(extract(epoch FROM expires_at - created_at) / 86400) FROM api_key WHERE id = %s"
    assert database_of_keys.execute(days, (key_id,)) == [(30,)]

    listed = run_cli("keys", "list", "--owner", owner, env=env)
    head, line = listed.stdout.splitlines()
    assert head.split("  ")[0] == "ID"
    assert line.startswith(f"{key_id}  {owner}  read,admin  ")
    assert line.endswith("  -        ünter test")
    assert key[4:] not in listed.stdout
    assert key_id in run_cli("keys", "list", env=env).stdout

    revoked = run_cli("keys", "revoke", key_id, env=env)
    assert (revoked.returncode, revoked.stdout) == (0, f"revoked {key_id}\n")
    assert ask(service, key).status_code == 401


@pytest.mark.parametrize(
    "wrong",
    [
        "keys",
        "keys create --owner a",
        "keys create --scopes read",
        "keys create --owner a --scopes read,all",
        "keys create --owner a --scopes ,",
        "keys create --owner a --scopes read --expires 0",
        "keys create --owner a --scopes read --expires nan",
        "keys create --owner a --scopes read --expires soon",
        f"keys create --owner {'a' * 201} --scopes read",
        "keys revoke 7",
    ],
)
def test_wrong_arguments_are_refused(env, wrong: str):
    done = run_cli(*wrong.split(), env=env)
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: " in done.stderr.splitlines()[-1]


def test_a_key_that_there_is_not_is_one_line(env):
    wrong = str(uuid.uuid4())
    done = run_cli("keys", "revoke", wrong, env=env)
    line = f"swagger_server: there is no key with the id {wrong}\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line)


def test_a_database_without_the_table_is_one_line(env, database: Database):
    done = run_cli("keys", "list", env=settings_for(database))
    line = "swagger_server: the database lacks the schema: run `python -m swagger_server migrate` first\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line)
