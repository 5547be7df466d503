"""The same page from another origin: what CORS allows it to read, in a browser that enforces it."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.support import ask, page_file, web_server
from tests.support.process import Gunicorn

pytestmark = pytest.mark.browser

FETCH = """async ([url, headers]) => {
    const response = await fetch(url, { headers });
    return { status: response.status, headers: Object.fromEntries(response.headers), body: await response.json() };
}"""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    """A plain web server that has the page and nothing else."""
    files = page_file
    with web_server(lambda path, accept: files(path.partition("?")[0], accept)) as address:
        yield address


@pytest.fixture
def other(page: Page, visit: Visit, elsewhere: str, service: Gunicorn) -> Page:
    """The page of the other origin, told where the service is."""
    visit.hosts.add(elsewhere.removeprefix("http://"))
    page.goto(f"{elsewhere}/?api={service.url}/")
    return page


def fetched(page: Page, url: str, **headers: str) -> Any:
    return page.evaluate(FETCH, [url, headers])


def test_the_page_finds_a_city_through_a_service_of_another_origin(
    other: Page, visit: Visit, elsewhere: str, service: Gunicorn
) -> None:
    other.get_by_role("combobox", name="City").press_sequentially("köln")
    expect(other.get_by_role("option").first).to_contain_text("Köln")
    other.keyboard.press("ArrowDown")
    other.keyboard.press("Enter")
    airports = other.get_by_role("article", name="Nearest airports").get_by_role("listitem")
    expect(airports.first).to_contain_text("Cologne Bonn Airport")
    expect(other.get_by_role("article", name="Germany", exact=True)).to_contain_text("Berlin")
    expect(other).to_have_url(f"{elsewhere}/?api={service.url}/#city=2886242")
    asked = [response for response in visit.responses if response.url.startswith(service.url)]
    assert {response.header_value("access-control-allow-origin") for response in asked} == {"*"}


def test_an_error_and_its_request_id_are_readable(other: Page, visit: Visit, service: Gunicorn) -> None:
    visit.expected_refusals = {400}
    with other.expect_response(re.compile("colour=blue")) as answered:
        other.get_by_role("link", name="A mistake, and how it is answered").click()
    answer = other.get_by_role("region", name="Answer")
    expect(answer.locator("pre")).to_contain_text("Unknown query parameter: colour")
    identifier = answered.value.json()["request_id"]
    expect(answer.locator("dl")).to_contain_text(f"X-Request-ID{identifier}")
    expect(answer.locator("dl")).to_contain_text("Server-Timing")


def test_the_headers_of_a_list_are_readable(other: Page, service: Gunicorn) -> None:
    answer = fetched(other, f"{service.url}/v1/cities?q=san&limit=1")
    assert answer["status"] == 200
    assert answer["headers"].keys() >= {"etag", "link", "server-timing", "x-request-id", "cache-control"}
    assert answer["headers"]["link"] == f'<{answer["body"]["next"]}>; rel="next"'


def test_a_request_that_needs_a_preflight_is_allowed(other: Page, service: Gunicorn) -> None:
    url = f"{service.url}/v1/countries/FR"
    answer = fetched(other, url, **{"X-Request-ID": "from-the-other-page"})
    assert answer["headers"]["x-request-id"] == "from-the-other-page"
    assert answer["body"] == ask(service.url, "v1/countries/FR")


@pytest.mark.parametrize(
    ("path", "status"), [("v1/countries/XX", 404), ("no/such/page", 404), ("v1/cities?limit=0", 400)]
)
def test_every_kind_of_refusal_is_readable(
    other: Page, visit: Visit, service: Gunicorn, path: str, status: int
) -> None:
    visit.expected_refusals = {status}
    answer = fetched(other, f"{service.url}/{path}")
    assert answer["status"] == status
    assert answer["body"]["status"] == status
    assert answer["body"]["request_id"] == answer["headers"]["x-request-id"]


def test_a_service_that_is_not_there_is_said_to_be_out_of_reach(
    page: Page, visit: Visit, elsewhere: str
) -> None:
    page.route("http://127.0.0.1:9/**", lambda route: route.abort("connectionrefused"))
    visit.hosts = {elsewhere.removeprefix("http://"), "127.0.0.1:9"}
    page.goto(f"{elsewhere}/?api=http://127.0.0.1:9/")
    expect(page.get_by_role("alert")).to_contain_text("127.0.0.1:9 cannot be reached.")
    expect(page.get_by_role("contentinfo")).to_contain_text("GeoNames")
