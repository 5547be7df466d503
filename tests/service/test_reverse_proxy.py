"""Behind a reverse proxy that takes a path prefix away and says so in X-Forwarded headers."""

from collections.abc import Iterator

import pytest
import requests

from tests.service.conftest import environment_for
from tests.support.process import OWN_WORKER, Gunicorn, start_gunicorn
from tests.support.servers import Database

FORWARDED = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "api.example.com",
    "X-Forwarded-Prefix": "/geo",
}


@pytest.fixture(scope="module", params=["gthread", OWN_WORKER])
def proxied(request: pytest.FixtureRequest, places: Database) -> Iterator[Gunicorn]:
    env = environment_for({"default": places}, SERVER_TRUSTED_PROXIES="1")
    with start_gunicorn("-k", request.param, "-w", "1", env=env) as service:
        yield service


def get(service: Gunicorn, path: str, **headers: str) -> requests.Response:
    return requests.get(
        service.url + path, headers={**FORWARDED, **headers}, timeout=20, allow_redirects=False
    )


def test_links_are_those_of_the_proxy(proxied: Gunicorn):
    page = get(proxied, "/v1/countries?limit=1")
    assert page.json()["next"].startswith("https://api.example.com/geo/v1/countries?limit=1&cursor=")
    assert page.headers["Link"] == f'<{page.json()["next"]}>; rel="next"'
    links = get(proxied, "/").json()["links"]
    assert links["documentation"] == "https://api.example.com/geo/v1/ui/"


def test_the_next_page_is_found_by_its_link(proxied: Gunicorn):
    page = get(proxied, "/v1/countries?limit=1").json()
    path = page["next"].removeprefix("https://api.example.com/geo")
    following = get(proxied, path).json()
    assert following["items"][0]["name"] > page["items"][0]["name"]


def test_swagger_ui_and_its_redirect_keep_the_prefix(proxied: Gunicorn):
    assert get(proxied, "/ui/").headers["Location"] == "/geo/v1/ui/"
    assert "/geo/v1/openapi.json" in get(proxied, "/v1/ui/").text
    assert get(proxied, "/v1/openapi.json").json()["servers"][0]["url"] == "/geo/v1"
    assert get(proxied, "/v1/ui/swagger-ui.css").status_code == 200


def test_an_error_names_the_path_that_the_client_asked_for(proxied: Gunicorn):
    assert get(proxied, "/v1/nothing").json()["instance"] == "/geo/v1/nothing"


def test_forwarded_headers_of_strangers_are_not_believed(ledger: Gunicorn):
    answer = requests.get(f"{ledger.url}/nowhere", headers=FORWARDED, timeout=20)
    assert answer.json()["instance"] == "/nowhere"
