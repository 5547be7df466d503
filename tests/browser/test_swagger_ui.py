"""Swagger UI in a real browser: it lists the operations of the spec and carries one out."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.support import ask
from tests.support.process import Gunicorn

pytestmark = pytest.mark.browser


def test_the_short_address_leads_to_a_list_of_all_operations(page: Page, service: Gunicorn) -> None:
    spec = ask(service.url, "v1/openapi.json")
    page.goto(f"{service.url}/ui/")
    expect(page).to_have_url(f"{service.url}/v1/ui/")
    operations = page.locator(".opblock .opblock-summary-path")
    expect(operations).to_have_count(sum(len(methods) for methods in spec["paths"].values()))
    expect(page.locator(".info .title")).to_contain_text(spec["info"]["title"])


def test_an_operation_can_be_tried(page: Page, service: Gunicorn) -> None:
    page.goto(f"{service.url}/v1/ui/")
    operation = page.locator(".opblock", has=page.get_by_text("/countries/{code}", exact=True))
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_placeholder("code").fill("fr")
    operation.get_by_role("button", name="Execute").click()
    live = operation.locator(".live-responses-table")
    expect(live.locator(".response-col_status").last).to_contain_text("200")
    expect(live.locator(".response-col_description").last).to_contain_text('"name": "France"')
    expect(operation.locator(".request-url")).to_contain_text(f"{service.url}/v1/countries/fr")
