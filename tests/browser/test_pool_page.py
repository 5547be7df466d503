"""The page at `/pool` in a real browser, while the service is under load."""

import os
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
import requests
from playwright.sync_api import BrowserContext, Page, ViewportSize, expect

from tests.browser.conftest import Visit
from tests.service.conftest import LEDGER, environment_for
from tests.support.process import Gunicorn, start_gunicorn
from tests.support.servers import Database, temporary_database

pytestmark = pytest.mark.browser

PHONE: ViewportSize = {"width": 360, "height": 740}
SLEEP = "tests.second_spec.controllers.sleep"
REQUESTS = 6
SECONDS = 4


@pytest.fixture(scope="module")
def busy_service(browser: BrowserContext, postgres: Database) -> Iterator[Gunicorn]:
    """Two workers with two connections each: the third request of a worker waits."""
    with temporary_database(postgres, f"busy_{os.getpid()}") as database:
        env = environment_for(
            {"default": database},
            POOL_MIN="1",
            POOL_MAX="2",
            POOL_TIMEOUT="30",
            SERVER_DEADLINE="60",
            SERVER_POOL_PAGE="yes",
        )
        with start_gunicorn("-w", "2", "-k", "gthread", "--threads", "8", env=env, app=LEDGER) as running:
            yield running


@pytest.fixture
def visit(browser: BrowserContext, busy_service: Gunicorn) -> Iterator[Visit]:
    visited = Visit(browser.new_page(), {urlsplit(busy_service.url).netloc})
    yield visited
    visited.page.close()
    visited.check()


@contextmanager
def load(service: Gunicorn) -> Iterator[list["Future[requests.Response]"]]:
    """Some requests that hold their connections for SECONDS each; all are answered in the end."""
    url = f"{service.url}/ledger/sleep?seconds={SECONDS}"
    with ThreadPoolExecutor(REQUESTS) as clients:
        asked = [
            clients.submit(requests.get, url, headers={"X-Request-ID": f"visitor-{number}"}, timeout=60)
            for number in range(REQUESTS)
        ]
        yield asked
    assert [each.result().status_code for each in asked] == [200] * REQUESTS


def test_it_shows_every_connection_who_has_it_and_who_waits(visit: Visit, busy_service: Gunicorn):
    page = visit.page
    page.goto(f"{busy_service.url}/pool")
    rows = page.locator(".connections tbody tr")
    expect(page.get_by_role("status")).to_contain_text("2 workers")
    expect(rows.locator(".worker").first).to_have_text(re.compile("|".join(map(str, busy_service.workers()))))
    expect(page.locator("#pools .queue")).to_be_hidden()
    chart = page.locator(".chart path.in-use")
    before = chart.get_attribute("d")

    with load(busy_service):
        in_use = page.locator(".connections tr.in-use")
        expect(in_use.first.locator(".operation")).to_have_text(SLEEP)
        expect(in_use.first.locator(".request")).to_have_text(re.compile(r"visitor-\d"))
        expect(in_use.first.locator(".state")).to_contain_text("in use, SQL")
        waiting = page.locator("#pools .queue tbody tr")
        expect(waiting.first.locator(".operation")).to_have_text(SLEEP)
        expect(waiting.first.locator(".request")).to_have_text(re.compile(r"visitor-\d"))
        expect(page.locator('[data-number="waiting"]')).not_to_have_text("0")
        expect(page.locator('[data-number="max"]')).to_have_text("4")
        # A row stays the same element for as long as its connection lives: nothing flickers, nothing jumps.
        row = in_use.first.element_handle()
        since = in_use.first.locator(".since").inner_text()
        expect(in_use.first.locator(".since")).not_to_have_text(since)
        assert row.evaluate("row => row.isConnected")
        expect(chart).not_to_have_attribute("d", before or "")

    expect(page.locator(".connections tr.in-use")).to_have_count(0)
    expect(page.locator("#pools .queue")).to_be_hidden()
    # The chart remembers: its area has not gone back to the ground everywhere.
    expect(chart).to_have_attribute("d", re.compile(r",(?!100)\d+\.\d "))


def test_it_fits_a_phone_in_the_dark(visit: Visit, busy_service: Gunicorn):
    page = visit.page
    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme="dark")
    page.goto(f"{busy_service.url}/pool")
    expect(page.locator(".connections tbody tr").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert brightness(page, "body") < 60


def brightness(page: Page, selector: str) -> float:
    color = page.eval_on_selector(selector, "node => getComputedStyle(node).backgroundColor")
    return sum(map(int, re.findall(r"\d+", color)[:3])) / 3


def test_it_says_so_when_there_is_no_answer(visit: Visit, busy_service: Gunicorn):
    page = visit.page
    page.goto(f"{busy_service.url}/pool")
    status = page.get_by_role("status")
    expect(status).to_contain_text("2 workers")
    page.route("**/pool.json", lambda route: route.abort())
    expect(status).to_contain_text("No answer")
    page.unroute("**/pool.json")
    expect(status).to_contain_text("2 workers")


def test_what_a_client_made_up_is_shown_as_text(visit: Visit, busy_service: Gunicorn):
    """Its path, say: nothing of it becomes a part of the page."""
    page = visit.page
    row = {
        "backend_pid": 7, "state": "in use", "seconds": 1, "statement_seconds": None,
        "operation": None, "method": "GET", "path": "/<img src=x onerror=alert(1)>", "request_id": "<b>id</b>",
    }  # fmt: skip
    pool = {"name": "default", "max": 1, "in_use": 1, "idle": 0, "cleaning": 0, "opening": 0, "waiting": 0}
    picture = {
        "at": 1.0,
        "silent": [],
        "pools": [{**pool, "down": False, "history": [[0, 0, 0, 0, 0], [1, 1, 0, 0, 1]]}],
        "workers": [
            {"pid": 1, "pools": [{**pool, "down": False, "connections": [row], "queue": []}], "queue": []}
        ],
    }
    page.route("**/pool.json", lambda route: route.fulfill(json=picture))
    page.goto(f"{busy_service.url}/pool")
    expect(page.locator(".connections .operation").first).to_have_text("GET /<img src=x onerror=alert(1)>")
    assert page.locator("td *").count() == 0
