"""The page at `/` in a real browser: what somebody sees, types and hears."""

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, ViewportSize, expect

from tests.browser.conftest import Visit
from tests.browser.support import ask, forwarded, web_server
from tests.support.process import Gunicorn

pytestmark = pytest.mark.browser

KOELN = 2886242
PARIS = 2988507
AUCKLAND = 2193733
ULAN_BATOR = 2028462  # no other test asks for it, so no cache has it
PHONE: ViewportSize = {"width": 360, "height": 740}
MAP_LEFT, MAP_TOP, MAP_WIDTH, MAP_HEIGHT = -180, -78, 360, 136
NO_CITY = 999_999_999


def city_input(page: Page) -> Locator:
    return page.get_by_role("combobox", name="City")


def options(page: Page) -> Locator:
    return page.get_by_role("option")


def title(page: Page) -> Locator:
    return page.locator("#place-title")


def card(page: Page, name: str) -> Locator:
    return page.get_by_role("article", name=name, exact=True)


def type_city(page: Page, text: str) -> None:
    city_input(page).press_sequentially(text)


def fact(box: Locator, name: str) -> Locator:
    return box.locator("dl.facts > div").filter(has=box.page.get_by_text(name, exact=True)).locator("dd")


def on_map(page: Page, lat: float, lon: float) -> tuple[float, float]:
    """Where a point of the earth is in the picture, in pixels from its top left corner."""
    box = page.locator("#world").bounding_box()
    assert box
    return (lon - MAP_LEFT) / MAP_WIDTH * box["width"], (-lat - MAP_TOP) / MAP_HEIGHT * box["height"]


def scrolls_sideways(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > innerWidth"))


def test_typing_a_city_and_choosing_it_by_key_shows_it_with_the_values_of_the_api(
    page: Page, service: Gunicorn
) -> None:
    page.goto(service.url)
    type_city(page, "köln")
    expect(options(page).first).to_contain_text("Köln")
    expect(options(page).first).to_contain_text("Nordrhein-Westfalen, Germany")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")

    city = ask(service.url, f"v1/cities/{KOELN}")
    expect(title(page)).to_have_text("Köln")
    expect(page).to_have_url(f"{service.url}/#city={KOELN}")
    expect(fact(card(page, "Köln"), "Population")).to_have_text(f"{city['population']:,}")
    assert_marked(page, city)
    assert_country_card(page, ask(service.url, "v1/countries/DE"))
    assert_airports(page, service.url, city)


def assert_marked(page: Page, city: dict[str, Any]) -> None:
    world = page.get_by_role("img", name=re.compile(f"World map.*{city['name']}"))
    expect(world).to_be_visible()
    marker = page.locator("#world .dots.city").bounding_box()
    box = world.bounding_box()
    assert marker
    assert box
    x, y = on_map(page, city["lat"], city["lon"])
    assert marker["x"] + marker["width"] / 2 - box["x"] == pytest.approx(x, abs=2)
    assert marker["y"] + marker["height"] / 2 - box["y"] == pytest.approx(y, abs=2)


def assert_country_card(page: Page, country: dict[str, Any]) -> None:
    box = card(page, country["name"])
    expect(fact(box, "Capital")).to_have_text(country["capital"]["name"])
    expect(fact(box, "Population")).to_have_text(f"{country['population']:,}")
    expect(fact(box, "Area")).to_have_text(f"{country['area_km2']:,.0f} km²")
    expect(fact(box, "Currency")).to_have_text(
        f"{country['currency']['name']} ({country['currency']['code']})"
    )
    expect(fact(box, "Languages")).to_have_text(", ".join(spoken["name"] for spoken in country["languages"]))
    expect(fact(box, "Dialling code")).to_have_text("+49")
    expect(fact(box, "Domain")).to_have_text(country["tld"])
    expect(box.locator(".chip")).to_have_text([other["name"] for other in country["neighbours"]])


def assert_airports(page: Page, base: str, city: dict[str, Any]) -> None:
    near = ask(base, "v1/airports/nearest", lat=city["lat"], lon=city["lon"], has_iata="true", limit=8)
    rows = card(page, "Nearest airports").get_by_role("listitem")
    expect(rows).to_have_count(8)
    for row, airport in zip(rows.all(), near["items"], strict=True):
        km = airport["distance_km"]
        expect(row).to_contain_text(airport["iata"])
        expect(row).to_contain_text(airport["name"])
        expect(row).to_contain_text(f"{km:.0f} km" if km >= 10 else f"{km:.1f} km")


def test_a_screen_reader_is_told_of_the_list_the_choice_and_the_number_of_hits(
    page: Page, service: Gunicorn
) -> None:
    page.goto(service.url)
    expect(page.get_by_role("combobox", name="City", expanded=False)).not_to_be_focused()
    type_city(page, "san")
    expect(page.get_by_role("combobox", name="City", expanded=True)).to_be_visible()
    expect(page.get_by_role("status").first).to_have_text("The first 8 cities. Use the arrow keys to choose.")
    expect(page.get_by_role("option", selected=True)).to_have_count(0)

    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("listbox", name="Cities").get_by_role("option", selected=True)).to_have_count(1)
    expect(options(page).nth(1)).to_have_attribute("aria-selected", "true")
    assert active_descendant(page) == options(page).nth(1).get_attribute("id")

    page.keyboard.press("Enter")
    expect(page.locator("#place-status")).to_contain_text("The nearest airport is")
    expect(page.get_by_role("combobox", name="City", expanded=False)).to_be_focused()


def active_descendant(page: Page) -> str:
    """The option that the accessibility tree, not the markup, gives as the focus within the combobox."""
    session = page.context.new_cdp_session(page)
    tree = session.send("Accessibility.getFullAXTree")
    combobox = next(node for node in tree["nodes"] if node.get("role", {}).get("value") == "combobox")
    properties = {entry["name"]: entry["value"] for entry in combobox["properties"]}
    return str(properties["activedescendant"]["relatedNodes"][0]["idref"])


def test_the_arrow_keys_go_round_through_the_input(page: Page, service: Gunicorn) -> None:
    page.goto(service.url)
    type_city(page, "paris")
    expect(options(page).first).to_be_visible()
    last = options(page).count() - 1
    page.keyboard.press("ArrowUp")
    expect(options(page).nth(last)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("option", selected=True)).to_have_count(0)
    page.keyboard.press("ArrowDown")
    expect(options(page).first).to_have_attribute("aria-selected", "true")


def test_escape_closes_the_list_and_then_clears_the_input(page: Page, service: Gunicorn) -> None:
    page.goto(service.url)
    type_city(page, "rome")
    expect(options(page).first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("listbox")).to_be_hidden()
    expect(city_input(page)).to_have_value("rome")
    page.keyboard.press("Escape")
    expect(city_input(page)).to_have_value("")


def test_enter_before_the_list_is_there_chooses_the_first_hit(page: Page, service: Gunicorn) -> None:
    page.goto(service.url)
    type_city(page, "東京")
    page.keyboard.press("Enter")
    expect(title(page)).to_have_text("Tokyo")


def test_enter_counts_the_words_typed_last_not_the_list_of_the_words_before(
    page: Page, service: Gunicorn
) -> None:
    page.goto(service.url)
    type_city(page, "mün")
    expect(options(page).filter(has_text="Munich")).to_be_visible()
    type_city(page, "ster")
    page.keyboard.press("Enter")
    expect(title(page)).to_have_text("Münster")


def test_a_name_that_no_city_has_is_said_to_have_none(page: Page, service: Gunicorn) -> None:
    page.goto(service.url)
    type_city(page, "zzzzqqqqxxxx")
    expect(page.get_by_role("status").first).to_have_text("No city fits “zzzzqqqqxxxx”.")
    expect(page.get_by_role("combobox", name="City", expanded=False)).to_be_visible()
    page.keyboard.press("Enter")
    expect(title(page)).to_have_text("The world by its largest cities")


def test_an_answer_that_was_overtaken_is_dropped(page: Page, service: Gunicorn) -> None:
    held: list[Any] = []
    page.route(re.compile(r"/v1/cities\?q=par&"), lambda route: held.append(route))
    page.goto(service.url)
    with page.expect_event("requestfailed", lambda request: "q=par&" in request.url):
        with page.expect_request(re.compile(r"q=par&")):
            type_city(page, "par")
        type_city(page, "is")
    expect(options(page).first).to_contain_text("Paris")
    assert len(held) == 1


def test_everything_is_reached_by_keyboard(page: Page, service: Gunicorn) -> None:
    page.goto(service.url)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(city_input(page)).to_be_focused()
    page.keyboard.type("vaduz")
    expect(options(page).first).to_contain_text("Vaduz")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    neighbour = card(page, "Liechtenstein").get_by_role("link", name="Austria")
    expect(neighbour).to_be_visible()
    tab_to(page, neighbour)
    page.keyboard.press("Enter")
    expect(title(page)).to_have_text("Austria")
    expect(title(page)).to_be_focused()
    expect(card(page, "Largest cities").get_by_role("link").first).to_have_text("Vienna")


def tab_to(page: Page, target: Locator, most: int = 40) -> None:
    for _ in range(most):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"not reached within {most} presses of Tab: {target}")


def test_nothing_scrolls_sideways_on_a_phone(page: Page, service: Gunicorn) -> None:
    page.set_viewport_size(PHONE)
    page.goto(service.url)
    assert not scrolls_sideways(page)
    type_city(page, "san")
    expect(options(page).first).to_be_visible()
    assert not scrolls_sideways(page)
    options(page).nth(1).click()
    expect(card(page, "Nearest airports").get_by_role("listitem")).to_have_count(8)
    page.get_by_role("link", name="Airports nearest to a point").click()
    expect(page.get_by_text("200 OK")).to_be_in_viewport()
    assert not scrolls_sideways(page)


def test_the_far_east_is_on_the_map_of_a_phone(page: Page, service: Gunicorn) -> None:
    page.set_viewport_size(PHONE)
    page.goto(f"{service.url}/#city={AUCKLAND}")
    expect(title(page)).to_have_text("Auckland")
    assert_marked(page, ask(service.url, f"v1/cities/{AUCKLAND}"))


def test_a_deep_link_opens_its_city_and_back_leads_back(page: Page, service: Gunicorn) -> None:
    page.goto(f"{service.url}/#city={PARIS}")
    expect(title(page)).to_have_text("Paris")
    expect(page).to_have_title("Paris · Places API")
    expect(city_input(page)).to_have_value("Paris")
    card(page, "Paris").get_by_role("link", name="France").click()
    expect(title(page)).to_have_text("France")
    page.go_back()
    expect(title(page)).to_have_text("Paris")


def test_a_city_that_is_not_known_is_answered_in_the_words_of_the_api(
    page: Page, visit: Visit, service: Gunicorn
) -> None:
    visit.expected_refusals = {404}
    with page.expect_response(re.compile(f"/v1/cities/{NO_CITY}")) as answered:
        page.goto(f"{service.url}/#city={NO_CITY}")
    problem = answered.value.json()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text(problem["detail"])
    expect(alert).to_contain_text(problem["request_id"])
    expect(alert.get_by_role("button")).to_have_count(0)


def test_a_device_that_is_offline_is_told_so_and_can_try_again(page: Page, service: Gunicorn) -> None:
    page.goto(service.url)
    world_is_drawn(page)
    page.context.set_offline(True)
    page.evaluate(f"location.hash = 'city={ULAN_BATOR}'")
    expect(page.get_by_role("alert")).to_contain_text("This device is offline.")
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    expect(title(page)).to_have_text("Ulan Bator")


def test_a_card_that_fails_leaves_the_others_alone(page: Page, visit: Visit, service: Gunicorn) -> None:
    visit.expected_refusals = {503}
    busy = {"type": "about:blank", "title": "Busy", "status": 503, "detail": "All busy.", "request_id": "r-1"}
    page.route(
        re.compile("/v1/countries/FR$"),
        lambda route: route.fulfill(
            status=503, json=busy, content_type="application/problem+json", headers={"Retry-After": "2"}
        ),
    )
    page.goto(f"{service.url}/#city={PARIS}")
    expect(card(page, "France").get_by_role("alert")).to_contain_text("All busy. Worth trying again in 2 s.")
    expect(card(page, "France").get_by_role("alert")).to_contain_text("r-1")
    expect(card(page, "Nearest airports").get_by_role("listitem")).to_have_count(8)


def test_the_largest_cities_draw_the_world(page: Page, visit: Visit, service: Gunicorn) -> None:
    page.goto(service.url)
    world_is_drawn(page)
    lists = [request.url for request in visit.requests if "/v1/cities?limit=100" in request.url]
    assert len(set(lists)) == 20


def world_is_drawn(page: Page, cities: int = 2000) -> None:
    count = """wanted => [...document.querySelectorAll("#world .small, #world .middle, #world .large")]
        .map((path) => (path.getAttribute("d") ?? "").split("M").length - 1)
        .reduce((sum, dots) => sum + dots) === wanted"""
    page.wait_for_function(count, arg=cities)


def test_a_click_on_the_map_shows_the_nearest_city(page: Page, service: Gunicorn) -> None:
    page.goto(service.url)
    x, y = on_map(page, 64.2, -21.9)
    page.locator("#world").click(position={"x": x, "y": y})
    expect(title(page)).to_have_text("Reykjavík")


def test_the_examples_show_answers_with_their_headers(page: Page, visit: Visit, service: Gunicorn) -> None:
    visit.expected_refusals = {400}
    page.goto(service.url)
    answer = page.get_by_role("region", name="Answer")
    page.get_by_role("link", name="A mistake, and how it is answered").click()
    expect(answer).to_contain_text("400 Bad Request")
    expect(answer.locator("pre")).to_contain_text("colour")
    expect(answer.locator("pre")).to_contain_text('"request_id"')
    page.get_by_role("link", name="This address, for programs").click()
    expect(answer.locator("pre")).to_contain_text('"database": "ok"')
    page.get_by_role("textbox", name="GET").fill("/v1/airports/jfk")
    page.keyboard.press("Enter")
    expect(answer.locator("pre")).to_contain_text("John F Kennedy International Airport")


def test_every_example_is_answered(page: Page, visit: Visit, service: Gunicorn) -> None:
    visit.expected_refusals = {400}
    page.goto(service.url)
    answer = page.get_by_role("region", name="Answer")
    for link in page.locator("[data-example]").all():
        link.click()
        expected = "400" if "colour" in str(link.get_attribute("href")) else "200"
        expect(answer.get_by_role("link", name="Open the answer")).to_have_attribute(
            "href", str(link.evaluate("link => link.href"))
        )
        expect(answer.get_by_role("status")).to_contain_text(expected)


def test_another_host_is_not_asked_for_an_example(page: Page, service: Gunicorn) -> None:
    page.goto(service.url)
    page.get_by_role("textbox", name="GET").fill("https://example.org/")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("alert")).to_contain_text("Only paths of 127.0.0.1")


def test_the_sources_of_the_data_are_named(page: Page, service: Gunicorn) -> None:
    page.goto(service.url)
    footer = page.get_by_role("contentinfo")
    for source in ask(service.url, "v1/about")["sources"]:
        expect(footer).to_contain_text(source["attribution"])


def test_the_page_follows_the_dark_mode_of_the_device(page: Page, service: Gunicorn) -> None:
    page.goto(service.url)
    page.emulate_media(color_scheme="light")
    expect(page.locator("body")).to_have_css("background-color", "rgb(243, 246, 248)")
    page.emulate_media(color_scheme="dark")
    expect(page.locator("body")).to_have_css("background-color", "rgb(13, 19, 26)")


def test_the_page_works_behind_a_prefix_that_the_service_is_not_told_of(
    page: Page, visit: Visit, service: Gunicorn
) -> None:
    with web_server(forwarded(service.url, "/places")) as proxy:
        visit.hosts = {proxy.removeprefix("http://")}
        page.goto(f"{proxy}/places/")
        world_is_drawn(page)
        type_city(page, "köln")
        page.keyboard.press("Enter")
        expect(card(page, "Nearest airports").get_by_role("listitem")).to_have_count(8)
        expect(page.get_by_role("link", name="Open Swagger UI")).to_have_attribute(
            "href", f"{proxy}/places/v1/ui/"
        )
