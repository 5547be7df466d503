"""Each setting reaches the thing that it sets: a service with unusual ones, asked what it does."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.service.conftest import LEDGER, environment_for
from tests.support.process import Gunicorn, start_gunicorn
from tests.support.servers import Database

POOL = {
    "MIN": 2,
    "MAX": 3,
    "TIMEOUT": 0.5,
    "MAX_WAITING": 7,
    "MAX_IDLE": 120.0,
    "MAX_LIFETIME": 240.0,
    "OUTAGE_GRACE": 0.25,
    "QUERY_TIMEOUT": 9.0,
    "RESET": "always",
    "LEAK_AFTER": 30.0,
    "BUDGET": 9,
}
OTHERS = {
    "CORS_ORIGINS": "https://shop.example https://admin.example",
    "CORS_MAX_AGE": "60",
    "CORS_CREDENTIALS": "yes",
    "SERVER_LOG_FORMAT": "json",
    "SERVER_STATEMENT_TIMEOUT": "0.75",
    "SERVER_MAX_BODY": "200",
    "SERVER_CACHE_SECONDS": "5",
    "SERVER_GZIP_MIN": "10",
    "SERVER_RETRY_AFTER": "7",
    "SERVER_SWAGGER_UI": "no",
    "SERVER_RETRY_READS": "no",
    "SERVER_RETRY_WRITES": "no",
    "SERVER_ROWS": "dict",
    "LIMITS_READS_PER_ADDRESS": "0/second",
    "LIMITS_WRITES_PER_ADDRESS": "0",
    "LIMITS_READS_PER_KEY": "0",
    "LIMITS_WRITES_PER_KEY": "0",
    "LIMITS_FAILED_AUTHENTICATIONS": "0",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("budget")


@pytest.fixture(scope="module")
def service(ledger_database: Database, folder: Path) -> Iterator[Gunicorn]:
    pool = {f"POOL_{key}": str(value) for key, value in POOL.items()} | {"POOL_BUDGET_FOLDER": str(folder)}
    env = environment_for({"default": ledger_database}, **pool, **OTHERS)
    with start_gunicorn("-k", "gthread", "-w", "1", "--threads", "8", env=env, app=LEDGER) as started:
        yield started


def get(service: Gunicorn, path: str, **headers: str) -> requests.Response:
    return requests.get(f"{service.url}{path}", headers=headers, timeout=20)


def test_the_pool(service: Gunicorn, folder: Path):
    options = get(service, "/ledger/session").json()["options"]
    sizes = {"min": "minconn", "max": "maxconn"}
    expected = {sizes.get(key.lower(), key.lower()): value for key, value in POOL.items()}
    budget = options.pop("budget")
    assert {**options, "budget": budget["size"]} == {
        "name": "default",
        "read_only": False,
        "brief_timeout": 0.0,
        **expected,
    }
    assert [str(file) for file in folder.iterdir()] == [budget["path"]]


def test_statements_and_rows(service: Gunicorn):
    session = get(service, "/ledger/session").json()
    assert session["statement_timeout"] == "750ms"
    assert session["row"] == {"one": 1}


def test_cors(service: Gunicorn):
    asked = {"Access-Control-Request-Method": "POST", "Origin": "https://shop.example"}
    allowed = requests.options(f"{service.url}/ledger/entries", headers=asked, timeout=20).headers
    refused = get(service, "/ledger/values", Origin="https://elsewhere.example").headers
    assert allowed["Access-Control-Allow-Origin"] == "https://shop.example"
    assert allowed["Access-Control-Allow-Credentials"] == "true"
    assert allowed["Access-Control-Max-Age"] == "60"
    assert "Access-Control-Allow-Origin" not in refused
    assert "Origin" in refused["Vary"]


def test_bodies_and_caching(service: Gunicorn):
    large = requests.post(f"{service.url}/ledger/entries", json={"name": "x" * 300}, timeout=20)
    read = get(service, "/ledger/values")
    assert large.status_code == 413
    assert read.headers["Content-Encoding"] == "gzip"
    assert read.headers["Cache-Control"] == "max-age=5"


def test_errors(service: Gunicorn):
    lost = get(service, "/ledger/lost")
    assert (lost.status_code, lost.headers["Retry-After"]) == (503, "7")
    # Run once, not again: the operation ends the backend that it is on, each time that it is run.
    assert service.log().count("request connection lost") == 1


def test_conflicts(service: Gunicorn):
    entry = {"name": "unlucky", "amount": 1}
    answer = requests.post(f"{service.url}/ledger/third-time-lucky", json=entry, timeout=20)
    assert answer.status_code == 409


def test_swagger_ui(service: Gunicorn):
    assert get(service, "/ledger/ui/").status_code == 404


def test_the_log(service: Gunicorn):
    get(service, "/ledger/values", **{"X-Request-ID": "in-json"})
    lines = [line for line in service.log().splitlines() if '"in-json"' in line]
    assert [json.loads(line)["status"] for line in lines] == [200]


def test_what_is_not_limited_is_not_counted(service: Gunicorn):
    asked = {"Origin": "https://shop.example", "X-API-Key": "right"}
    answers = [get(service, path, **asked) for path in ("/ledger/values", "/ledger/secret")]
    told = {name for answer in answers for name in answer.headers if name.lower().startswith("ratelimit")}
    assert ([answer.status_code for answer in answers], told) == ([200, 200], set())
    assert "RateLimit" not in answers[0].headers["Access-Control-Expose-Headers"]
    assert list(Path(tempfile.gettempdir()).glob(f"swagger_server-*-{service.pid}-*/rate-limits*")) == []
