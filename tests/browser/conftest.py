"""The service as a process and a real Chromium that visits it.

Every visit fails at its end if the page wrote an error, asked another host, or was refused something that the
test did not expect.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    ViewportSize,
    sync_playwright,
)

from tests.service.conftest import environment_for
from tests.support.process import Gunicorn, start_gunicorn
from tests.support.servers import Database

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]

DESKTOP: ViewportSize = {"width": 1280, "height": 900}


def chromium() -> str | None:
    """Path of an installed Chromium, if there is one."""
    usual = Path("/usr/bin/chromium")
    return str(usual) if usual.exists() else shutil.which("chromium")


@pytest.fixture(scope="package")
def browser() -> Iterator[BrowserContext]:
    """One visitor's browser: its cache lives from test to test, as it does from visit to visit."""
    path = chromium()
    if path is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        context = launched.new_context(viewport=DESKTOP, locale="en-GB")
        context.set_default_timeout(10_000)
        yield context
        launched.close()


@pytest.fixture(scope="package")
def service(browser: BrowserContext, places: Database) -> Iterator[Gunicorn]:
    """The Places service; it asks for the browser so as not to start where there is none."""
    env = environment_for({"default": places})
    with start_gunicorn("-w", "2", "-k", "gthread", "--threads", "4", env=env) as running:
        yield running


@dataclass
class Visit:
    """A page and what it did: errors in its console, the hosts it asked, the refusals it got."""

    page: Page
    hosts: set[str]
    expected_refusals: set[int] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    responses: list[Response] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        # Playwright does not take a list's own append.
        self.page.on("request", lambda request: self.requests.append(request))
        self.page.on("response", lambda response: self.responses.append(response))

    def check(self) -> None:
        assert self.errors == []
        assert {urlsplit(request.url).netloc for request in self.requests} <= self.hosts
        assert {
            response.status for response in self.responses if response.status >= 400
        } == self.expected_refusals

    def _heard(self, message: ConsoleMessage) -> None:
        # A refusal is in `responses`, too, with its status.
        refused = message.text.startswith("Failed to load resource")
        if message.type in {"error", "warning"} and not refused:
            self.errors.append(message.text)


@pytest.fixture
def visit(browser: BrowserContext, service: Gunicorn) -> Iterator[Visit]:
    """A visit in a tab of its own that has not opened anything yet."""
    visited = Visit(browser.new_page(), {urlsplit(service.url).netloc})
    yield visited
    browser.set_offline(False)
    visited.page.close()
    visited.check()


@pytest.fixture
def page(visit: Visit) -> Page:
    return visit.page
