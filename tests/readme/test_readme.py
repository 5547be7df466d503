"""The README does what it says: its files and commands, followed step by step."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from swagger_server.config import load_settings
from tests.service.conftest import environment_for
from tests.sites.support import fill
from tests.support.process import CHECKOUT, environment, run_cli, start_gunicorn
from tests.support.servers import Database

README = (CHECKOUT / "README.md").read_text()


def files() -> dict[str, str]:
    """The files that the README shows, by their path: a line with the path, then the block."""
    return dict(re.findall(r"^`(\S+)`\n```\w+\n(.*?)^```$", README, re.MULTILINE | re.DOTALL))


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    """A folder in which somebody has made the files of "Your own spec, your own tables"."""
    for path, text in files().items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def test_your_own_spec_and_tables(walk: Path, database: Database):
    env = environment_for({"default": database}, PYTHONPATH=f"{CHECKOUT}")
    migrated = run_cli("migrate", "--files", "stores/schema", env=env, cwd=walk)
    assert "applied 0001_stores.sql" in migrated.stdout
    with start_gunicorn("-w", "2", env=env, cwd=walk, app="stores.wsgi") as service:
        stores = f"{service.url}/v1/stores"
        body = {"name": "Köln Süd", "opened": "2024-02-29"}
        created = requests.post(stores, json=body, timeout=20)
        assert (created.status_code, created.json()) == (201, {"id": 1})
        assert requests.post(stores, json=body, timeout=20).status_code == 409
        assert requests.post(stores, json={"opened": "2024-02-29"}, timeout=20).status_code == 400
        assert requests.get(f"{stores}/1", timeout=20).json() == {"id": 1, **body}
        assert requests.get(f"{stores}/9", timeout=20).json()["detail"] == "There is no store 9."
        assert requests.get(stores, params={"q": "köln"}, timeout=20).json() == [{"id": 1, **body}]
        assert requests.get(stores, params={"x": "1"}, timeout=20).status_code == 400
        assert requests.get(f"{service.url}/v1/ui/", timeout=20).status_code == 200


HOOKS = """
@hooks.get("/account")
def account():
    return {"account": g.account}


application = load_application(Path(__file__).with_name("openapi.yaml"), blueprints=[hooks])
"""


def test_a_hook_has_the_connection_of_the_request(walk: Path, database: Database):
    block = re.search(r"^```python\n(hooks = .*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert block
    wsgi = walk / "stores" / "wsgi.py"
    imports, _, _ = wsgi.read_text().partition("application = ")
    wsgi.write_text(f"from flask import Blueprint, g, request\n{imports}\n{block[1]}\n{HOOKS}")
    database.execute("CREATE TABLE account (name text, token text); INSERT INTO account VALUES ('Ada', 'x')")
    env = environment_for({"default": database}, PYTHONPATH=f"{CHECKOUT}")
    with start_gunicorn("-w", "1", env=env, cwd=walk, app="stores.wsgi") as service:
        found = [
            requests.get(f"{service.url}/account", headers={"X-Token": token}, timeout=20).json()
            for token in ("x", "y")
        ]
    assert found == [{"account": ["Ada"]}, {"account": None}]


def test_your_own_places(database: Database, tmp_path: Path):
    fill(database)
    block = re.search(r"^## Your own places\n.*?^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert block
    env = environment_for({"default": database})
    with start_gunicorn("-w", "1", env=env) as service:
        commands = block[1].replace("localhost:8080", service.url.removeprefix("http://"))
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands.replace("curl -s", "curl -sf")],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment({**env, "PATH": path, "PYTHONPATH": str(CHECKOUT)}),
        )
    assert done.returncode == 0, done.stderr
    found, changed, imported = _values(done.stdout)
    assert [site["name"] for site in found["items"]] == ["Till 7"]
    assert (changed["city_id"], changed["phone"]) == (2988507, "+33 1 23 45")
    assert imported == {"created": 0, "updated": 0, "unchanged": 1}
    assert len((tmp_path / "sites.csv").read_text().splitlines()) == 2


def _values(text: str) -> list[Any]:
    """JSON values that follow each other."""
    decoder, values, rest = json.JSONDecoder(), [], text.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        values.append(value)
        rest = rest[end:].lstrip()
    return values


def test_the_files_named_in_the_readme_exist():
    linked = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert linked
    assert [target for target in linked if not (CHECKOUT / target).exists()] == []


def test_the_settings_shown_in_the_readme_are_right(tmp_path: Path):
    (block,) = re.findall(r"^```ini\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    (tmp_path / "config.ini").write_text(block)
    settings = load_settings(tmp_path / "config.ini", {"POSTGRES_PW": "x", "POOL_MAX": "10"})
    assert settings.databases["default"].host == "db.example.com"
    assert (settings.databases["default"].password, settings.pool.max) == ("x", 10)


def test_every_make_target_of_the_readme_exists():
    listed = subprocess.run(["make", "help"], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    for target in re.findall(r"^make (\S+)", README, re.MULTILINE):
        assert f"make {target}" in listed


def test_every_command_of_the_command_line_in_the_readme_exists():
    for command in sorted(set(re.findall(r"python -m swagger_server ([a-z-]+)", README))):
        known = subprocess.run(
            [sys.executable, "-m", "swagger_server", command, "--help"], cwd=CHECKOUT, capture_output=True
        )
        assert known.returncode == 0, command
