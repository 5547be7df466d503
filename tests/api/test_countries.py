"""/countries, and the lists of codes."""

import re

import pytest

from tests.api.contract import Api


@pytest.mark.parametrize("code", ["CH", "ch", "CHE", "che"])
def test_a_country_tells_what_is_known_of_it(api: Api, code: str) -> None:
    country = api.get(f"/countries/{code}")
    assert (country["iso2"], country["iso3"], country["name"]) == ("CH", "CHE", "Switzerland")
    assert country["continent"] == {"code": "EU", "name": "Europe"}
    assert country["capital"]["name"] == "Bern"
    assert country["currency"]["code"] == "CHF"
    assert [language["code"] for language in country["languages"]] == ["de", "fr", "it", "rm"]
    assert [neighbour["iso2"] for neighbour in country["neighbours"]] == ["AT", "FR", "DE", "IT", "LI"]
    assert (country["tld"], country["area_km2"]) == (".ch", 41290)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"q": "fra"}, ["France"]),
        ({"q": "ÖST"}, []),
        ({"q": "de"}, ["Germany", "Democratic Republic of the Congo", "Denmark"]),
        ({"q": "korea"}, ["North Korea", "South Korea"]),
        ({"continent": "sa", "language": "pt"}, ["Brazil"]),
        ({"currency": "chf"}, ["Liechtenstein", "Switzerland"]),
    ],
)
def test_countries_are_found_by_name_code_and_filter(
    api: Api, query: dict[str, str], names: list[str]
) -> None:
    assert [item["name"] for item in api.get("/countries", **query)["items"]] == names


def test_every_country_of_the_list_can_be_read(api: Api) -> None:
    for page in api.pages("/countries", limit=100):
        for item in page:
            country = api.get(f"/countries/{item['iso3']}")
            assert (country["iso2"], country["capital"]) == (item["iso2"], item["capital"])


def test_subdivisions_are_alphabetical(api: Api) -> None:
    items = api.get("/countries/DE/subdivisions", limit=100)["items"]
    assert len(items) == 16
    assert items[0] == {"code": "DE.01", "name": "Baden-Württemberg", "country": "DE"}


def test_codes_name_their_countries(api: Api) -> None:
    currencies = {
        item["code"]: item["countries"] for page in api.pages("/currencies", limit=100) for item in page
    }
    assert currencies["CHF"] == ["CH", "LI"]
    languages = {
        item["code"]: item["countries"] for page in api.pages("/languages", limit=100) for item in page
    }
    assert {"BR", "PT"} <= set(languages["pt"])
    continents = {item["code"]: item["countries"] for item in api.get("/continents")["items"]}
    assert len(continents) == 7
    assert "FR" in continents["EU"]


def test_every_timezone_has_its_offset_of_this_moment(api: Api) -> None:
    zones = {item["name"]: item["utc_offset"] for page in api.pages("/timezones", limit=100) for item in page}
    # Those that keep no summer time; which do, and when, is for PostgreSQL's own timezone data to know.
    assert (zones["Asia/Kathmandu"], zones["Asia/Kolkata"], zones["Asia/Tokyo"]) == (
        "+05:45",
        "+05:30",
        "+09:00",
    )
    assert (zones["Pacific/Marquesas"], zones["Pacific/Honolulu"]) == ("-09:30", "-10:00")
    assert zones["Africa/Abidjan"] == "+00:00"
    assert (zones["Europe/Paris"], zones["America/St_Johns"]) in [
        ("+01:00", "-03:30"),
        ("+02:00", "-02:30"),
        ("+01:00", "-02:30"),
    ]


def test_about_names_versions_rows_licences_and_attribution(api: Api) -> None:
    about = api.get("/about")
    assert re.fullmatch(r"\d+\.\d+\.\d+", about["version"])
    sources = {source["name"]: source for source in about["sources"]}
    assert sources["cities"]["rows"] == 34006
    assert (sources["cities"]["licence"], sources["airports"]["licence"]) == ("CC BY 4.0", "MIT")
    assert "GeoNames" in sources["cities"]["attribution"]
