"""Sites as files: an import is all of its rows or none, an export can be imported again."""

import csv
import gzip
import io
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.service.conftest import environment_for
from tests.sites.support import BERLIN, NEVER, PARIS, Caller, caller, export_slowly
from tests.support.process import OWN_WORKER, start_gunicorn, wait_until
from tests.support.servers import Database

CSV, JSON_LINES, GEOJSON = "text/csv", "application/x-ndjson", "application/geo+json"
FULL = {
    "external_id": "shop-17",
    "name": "Shop \"in\" the Marais, \\N 'n' more",
    "tags": ["shop", "open, late", 'quo"ted', "back\\slash"],
    "address_lines": ["12 Rue des Rosiers", "75004 Paris"],
    "city_id": PARIS,
    "city": "Paris 4e",
    "country": "FR",
    "lat": 48.8572,
    "lon": -0.1,
    "opening_hours": "Mo-Sa 10:00-19:00",
    "phone": "+33 1 23 45 67 89",
    "url": "https://shop.example/marais",
    "attributes": {"floors": 2, "text": "a\nb\\u0000\t", "deep": [{"x": None}]},
}
MADE = ("id", "created_at", "updated_at")


def send(caller: Caller, body: bytes | str, kind: str = CSV, **headers: str) -> requests.Response:
    data = body.encode() if isinstance(body, str) else body
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.post(
        f"{caller.url}/sites/import",
        data,
        headers={"X-API-Key": caller.key, "Content-Type": kind, **named},
        timeout=60,
    )


def send_sites(caller: Caller, *sites: dict[str, Any]) -> requests.Response:
    return send(caller, "".join(json.dumps(site) + "\n" for site in sites), JSON_LINES)


def counts(answer: requests.Response) -> tuple[int, int, int]:
    assert answer.status_code == 200, answer.text
    found = answer.json()
    return found["created"], found["updated"], found["unchanged"]


def errors(answer: requests.Response) -> list[tuple[int, str | None, str]]:
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json"), (
        answer.text
    )
    return [(error["line"], error["field"], error["reason"]) for error in answer.json()["errors"]]


def exported(caller: Caller, kind: str) -> requests.Response:
    answer = caller.ask("GET", "/sites/export", headers={"Accept": kind})
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (200, kind)
    return answer


def stored(caller: Caller) -> list[dict[str, Any]]:
    return [site for page in caller.pages("/sites") for site in page]


def given(site: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in site.items() if name not in MADE and value not in (None, [], {})}


def test_json_lines_are_sites(empty: Database, ada: Caller):
    assert counts(
        send_sites(ada, FULL, {"name": "Plain"}, {"name": "In Berlin", "city_id": BERLIN, "tags": None})
    ) == (
        3,
        0,
        0,
    )
    berlin, plain, full = stored(ada)
    assert given(full) == FULL
    assert given(plain) == {"name": "Plain"}
    assert (berlin["country"], berlin["lat"], berlin["lon"]) == ("DE", 52.52437, 13.41053)


def test_rows_of_csv_are_sites(empty: Database, ada: Caller):
    text = (
        "\ufeffname,tags,address_lines,city_id,lat,lon,country,attributes,external_id\r\n"
        '"Shop, ""quoted""","shop\r\nopen, late","12 Rue X\n75004 Paris",2988507,48.5,-2e0,fr,"{""floors"": 2}",a-1\r\n'
        "\r\n"
        "Plain,,,,,,,,\r\n"
        "'=SUM(1),,,,,,,,'+1\r\n"
    )
    assert counts(send(ada, text)) == (3, 0, 0)
    by_name = {site["name"]: given(site) for site in stored(ada)}
    assert by_name == {
        'Shop, "quoted"': {
            "name": 'Shop, "quoted"',
            "tags": ["shop", "open, late"],
            "address_lines": ["12 Rue X", "75004 Paris"],
            "city_id": PARIS,
            "lat": 48.5,
            "lon": -2,
            "country": "FR",
            "attributes": {"floors": 2},
            "external_id": "a-1",
        },
        "Plain": {"name": "Plain"},
        "=SUM(1)": {"name": "=SUM(1)", "external_id": "+1"},
    }


def test_a_known_external_id_is_that_site_and_others_are_left_alone(
    empty: Database, ada: Caller, bob: Caller
):
    bob.add(external_id="a", name="Bob's")
    known = ada.add(external_id="a", name="Old", tags=["old"])
    same = ada.add(external_id="b", name="Same")
    assert counts(
        send_sites(
            ada, {"external_id": "a", "name": "New"}, {"external_id": "b", "name": "Same"}, {"name": "Third"}
        )
    ) == (1, 1, 1)
    changed = ada.ask("GET", f"/sites/{known['id']}")
    assert (changed.json()["name"], changed.json()["tags"], changed.headers["ETag"]) == ("New", [], '"2"')
    assert ada.get(f"/sites/{same['id']}") == same
    assert bob.names() == ["Bob's"]


def test_every_bad_row_is_named_and_nothing_is_stored(empty: Database, ada: Caller):
    rows = [
        {"external_id": "a", "name": "Good"},
        {"name": ""},
        {"name": "x", "lat": 91, "lon": 0},
        {"name": "x", "lon": 0},
        {"name": "x", "colour": "red"},
        {"name": "x", "tags": ["a", ""]},
        {"name": "x", "id": "17"},
        {"name": "x", "city_id": NEVER},
        {"external_id": "a", "name": "Twice"},
        {"name": "x", "attributes": {"a": "\x00"}},
        {"name": "x", "attributes": {"a": "x" * 17_000}},
        {"name": "x", "attributes": {"a": [1e300] * 1000}},
        {"name": "\ud800"},
        {"external_id": "a\nb", "name": "x"},
    ]
    text = (
        "".join(json.dumps(row) + "\n" for row in rows)
        + 'no JSON\n[1]\n{"name": NaN}\n{"name": "x", "name": "y"}\n'
    )
    assert errors(send(ada, text.encode() + b'{"name": "\xff"}\n', JSON_LINES)) == [
        (2, "name", 'name is "": must have at least 1 character'),
        (3, "lat", "lat is 91: must be at most 90"),
        (4, "lat", "is required: lat and lon go together"),
        (5, "colour", "colour is not allowed"),
        (6, "tags", 'tags[1] is "": must have at least 1 character'),
        (7, "id", "is no UUID"),
        (8, "city_id", f"is {NEVER}: no city has this id"),
        (9, "external_id", "is that of line 1, too"),
        (10, "attributes", "holds the character NUL, which cannot be stored"),
        (11, "attributes", "is larger than 16384 bytes of JSON"),
        (12, "attributes", "is too large once its numbers are written out"),
        (13, None, "is not valid JSON: a text has half of a surrogate pair"),
        (14, "external_id", r'external_id is "a\nb": must match ^[^\u0000-\u001F\u007F]+$'),
        (15, None, "is not valid JSON: Expecting value: line 1 column 1 (char 0)"),
        (16, None, "is no JSON object"),
        (17, None, "is not valid JSON: NaN is no JSON number"),
        (18, None, 'is not valid JSON: an object has the name "name" more than once'),
        (19, None, "is not UTF-8"),
    ]
    assert empty.execute("SELECT count(*) FROM site") == [(0,)]


def test_of_many_bad_rows_the_first_hundred_are_named(empty: Database, ada: Caller):
    answer = send_sites(ada, {"name": "Good"}, *[{"name": ""}] * 1000)
    assert [line for line, *_ in errors(answer)] == list(range(2, 102))
    assert answer.json()["detail"] == "100 rows or more cannot be taken. Nothing was stored."
    assert empty.execute("SELECT count(*) FROM site") == [(0,)]


def test_a_refusal_does_not_repeat_long_names(empty: Database, ada: Caller):
    answer = send_sites(ada, *[{"name": "x", "y" * 10_000: 1}] * 100)
    assert {field for _, field, _ in errors(answer)} == {"y" * 100}
    assert len(answer.content) < 50_000


def test_a_site_may_stay_in_a_city_that_is_gone(empty: Database, ada: Caller):
    rows = [{"external_id": "a", "name": "x", "city_id": PARIS}, {"name": "y", "city_id": PARIS}]
    assert counts(send_sites(ada, *rows)) == (2, 0, 0)
    empty.execute(f"UPDATE site SET city_id = {NEVER}")
    before = [given(site) for site in stored(ada)]
    export = exported(ada, JSON_LINES).content
    assert counts(send(ada, export, JSON_LINES)) == (0, 0, 2)
    assert counts(send_sites(ada, {**rows[0], "city_id": NEVER, "tags": ["t"]})) == (0, 1, 0)
    assert [given(site) for site in stored(ada)] == [{**before[0], "tags": ["t"]}, before[1]]
    assert errors(send_sites(ada, {**rows[0], "city_id": NEVER, "external_id": "b"}))[0][1] == "city_id"


HEAD = "external_id,name,city_id,attributes\n"


@pytest.mark.parametrize(
    ("text", "line", "field", "reason"),
    [
        (HEAD + "a,b\n", 2, None, "has 2 cells, the first line 4"),
        (HEAD + "\n\na,b,c,\n", 4, "city_id", 'city_id is "c": must be an integer'),
        (HEAD + "a,b,1_0,\n", 2, "city_id", 'city_id is "1_0": must be an integer'),
        (HEAD + "a,,,\n", 2, "name", "name is required"),
        (
            HEAD + 'a,"multi\nline",,\n',
            2,
            "name",
            r'name is "multi\nline": must match ^[^\u0000-\u001F\u007F]+$',
        ),
        (
            HEAD + 'a,"multi",,\na,"a\nb\nc\n",,,\nc,d,x,\n',
            7,
            "city_id",
            'city_id is "x": must be an integer',
        ),
        (HEAD + "a,nul\0,,\n", 2, "name", r'name is "nul\u0000": must match ^[^\u0000-\u001F\u007F]+$'),
        (HEAD + "a,b,,{\n", 2, "attributes", 'attributes is "{": must be an object'),
        (HEAD + 'a,b,,"[1]"\n', 2, "attributes", "attributes is [1]: must be an object"),
        (HEAD + 'a,"b"c,,\n', 2, None, "is not valid CSV: ',' expected after '\"'"),
        (HEAD + 'a,"never closed,,\n', 2, None, "is not valid CSV: unexpected end of data"),
        (HEAD + f'a,"{"x" * 300_000}', 2, None, "is longer than 262144 bytes; what follows was not read"),
        ("external_id,names\n", 1, "names", None),
        (
            "name;tags\nx;y\n",
            1,
            "name;tags",
            "is no column: fields are to be separated by commas, not by semicolons",
        ),
        (
            "name\ttags\nx\ty\n",
            1,
            "name\ttags",
            "is no column: fields are to be separated by commas, not by tabs",
        ),
        ("external_id\n", 1, "name", "is missing in the first line, which has to name the columns"),
        ("name,name\n", 1, "name", "is named twice"),
        ("\ufffe", 1, "\ufffe", None),
    ],
)
def test_what_is_wrong_with_a_csv_file_is_told(
    empty: Database, ada: Caller, text: str, line: int, field: str | None, reason: str | None
):
    found = errors(send(ada, text))
    assert found[-1][:2] == (line, field)
    assert reason is None or found[-1][2] == reason
    assert empty.execute("SELECT count(*) FROM site") == [(0,)]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-32-le"])
def test_another_encoding_is_told(empty: Database, ada: Caller, encoding: str):
    line, _, reason = errors(send(ada, ("name\nKöln\n").encode(encoding)))[0]
    assert (line, reason) == (2, "is not UTF-8") if encoding == "latin-1" else line == 1
    assert send(ada, "name\n", "text/csv; charset=latin-1").status_code == 415


@pytest.mark.parametrize("kind", [CSV, JSON_LINES])
def test_a_file_without_rows_adds_nothing(empty: Database, ada: Caller, kind: str):
    assert counts(send(ada, "name\n" if kind == CSV else "\n", kind)) == (0, 0, 0)
    assert send(ada, b"", kind).status_code == 400


def sites_of_many_kinds() -> Iterator[dict[str, Any]]:
    yield FULL
    yield {"name": "Plain"}
    yield {"name": "In Berlin", "external_id": "berlin", "city_id": BERLIN}
    yield {"name": "Köln 東京 \u2028 end", "tags": ["ä"], "external_id": "' "}
    for number, name in enumerate(
        ["=1+1", "'=1", "''@x", "-", "+", "'", "' x", '"', ",", "\\.", "NULL", "\\N"]
    ):
        yield {"name": name, "external_id": f"{name}{number}", "tags": [name, "=b"], "address_lines": [name]}


@pytest.mark.parametrize("kind", [CSV, JSON_LINES])
def test_an_export_is_imported_again_without_a_change(empty: Database, ada: Caller, kind: str):
    assert counts(send_sites(ada, *sites_of_many_kinds())) == (16, 0, 0)
    before = empty.execute("SELECT * FROM site ORDER BY id")
    export = exported(ada, kind).content
    assert counts(send(ada, export, kind)) == (0, 0, 16)
    assert empty.execute("SELECT * FROM site ORDER BY id") == before


@pytest.mark.parametrize("kind", [CSV, JSON_LINES])
def test_an_export_makes_the_same_sites_elsewhere(empty: Database, ada: Caller, bob: Caller, kind: str):
    send_sites(ada, *sites_of_many_kinds())
    assert counts(send(bob, exported(ada, kind).content, kind)) == (16, 0, 0)

    def content(caller: Caller) -> list[str]:
        return sorted(json.dumps(given(site)) for site in stored(caller))

    assert content(bob) == content(ada)


def test_no_cell_of_a_csv_file_is_a_formula(empty: Database, ada: Caller):
    send_sites(ada, *sites_of_many_kinds(), {"name": "South", "lat": -33.5, "lon": -70.25})
    rows = list(csv.DictReader(io.StringIO(exported(ada, CSV).text, newline="")))
    texts = [cell for row in rows for name, cell in row.items() if name not in ("lat", "lon")]
    assert [text for text in texts if text[:1] in ("=", "+", "-", "@")] == []
    assert "'=1+1" in texts
    assert [row["lat"] for row in rows if row["name"] == "South"] == ["-33.5"]


def test_geojson_has_a_feature_for_each_site(empty: Database, ada: Caller):
    assert exported(ada, GEOJSON).json() == {"type": "FeatureCollection", "features": []}
    send_sites(ada, FULL, {"name": "Nowhere"})
    nowhere, full = exported(ada, GEOJSON).json()["features"]
    assert full["geometry"] == {"type": "Point", "coordinates": [FULL["lon"], FULL["lat"]]}
    assert full["properties"]["name"] == FULL["name"]
    assert {"id", "lat", "lon"} & set(full["properties"]) == set()
    assert (nowhere["type"], nowhere["geometry"]) == ("Feature", None)
    assert [feature["id"] for feature in (nowhere, full)] == [site["id"] for site in stored(ada)]


def test_the_format_is_the_parameters_or_what_the_client_accepts(empty: Database, ada: Caller):
    def kind(accept: str | None, **query: str) -> str:
        answer = ada.ask("GET", "/sites/export", headers=accept and {"Accept": accept}, **query)
        return answer.headers["Content-Type"].split(";")[0] if answer.ok else str(answer.status_code)

    assert kind("*/*") == CSV
    assert kind("application/geo+json, text/csv;q=0.5") == GEOJSON
    assert kind("text/csv", format="ndjson") == JSON_LINES
    assert kind("image/png") == "406"
    assert kind("*/*", format="xlsx") == "400"
    answer = ada.ask("GET", "/sites/export")
    assert "Accept" in answer.headers["Vary"]
    assert answer.headers["Content-Disposition"] == 'attachment; filename="sites.csv"'


def test_all_that_share_a_budget_have_a_quarter_of_it_for_exports(empty: Database, tmp_path: Path):
    settings = {"POOL_BUDGET": "4", "POOL_BUDGET_FOLDER": str(tmp_path), "BULK_PER_OWNER": "0"}
    env = environment_for({"default": empty}, **settings)
    with (
        start_gunicorn("-k", OWN_WORKER, "-w", "1", env=env) as one,
        start_gunicorn("-k", OWN_WORKER, "-w", "1", env=env) as other,
    ):
        eve = caller(empty, one.url, "eve")
        joe = caller(empty, other.url, "joe")
        assert counts(send_sites(eve, *MANY)) == (2000, 0, 0)
        with export_slowly(eve) as client:
            assert client.recv(12) == b"HTTP/1.1 200"
            refused = joe.ask("GET", "/sites/export")
            assert (refused.status_code, refused.headers.get("Retry-After")) == (503, "1")
            assert counts(send(joe, "name\nImports are counted apart\n")) == (1, 0, 0)
            # Who dies keeps nothing.
            os.kill(one.workers()[0], signal.SIGKILL)
            wait_until(lambda: joe.ask("GET", "/sites/export").status_code == 200)
        wait_until(one.answers)


LARGE = "x" * 10_000
MANY = [{"name": f"Shop {number}", "attributes": {"a": LARGE}} for number in range(2000)]


def test_exports_that_nobody_reads_leave_connections_to_others(empty: Database, ada: Caller, bob: Caller):
    assert counts(send_sites(ada, *MANY)) == (2000, 0, 0)
    with ExitStack() as clients:
        for _ in range(2):
            assert clients.enter_context(export_slowly(ada)).recv(12) == b"HTTP/1.1 200"
        refused = ada.ask("GET", "/sites/export")
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        assert bob.ask("GET", "/sites/export").status_code == 200
        assert ada.get("/sites", limit=1)["items"]
    wait_until(lambda: ada.ask("GET", "/sites/export").status_code == 200)


def test_imports_and_exports_have_a_quarter_each_of_what_a_budget_leaves(empty: Database, tmp_path: Path):
    settings = {
        "POOL_MAX": "20",
        "POOL_BUDGET": "4",
        "POOL_BUDGET_FOLDER": str(tmp_path),
        "BULK_PER_OWNER": "0",
    }
    env = environment_for({"default": empty}, **settings)
    with (
        start_gunicorn("-k", OWN_WORKER, "-w", "1", env=env) as started,
        closing(empty.connect()) as other,
        ThreadPoolExecutor(1) as beside,
    ):
        eve, joe = caller(empty, started.url, "eve"), caller(empty, started.url, "joe")
        assert counts(send_sites(eve, *MANY)) == (2000, 0, 0)
        eve.add(external_id="held", name="x")
        other.cursor().execute("SELECT FROM site WHERE external_id = 'held' FOR UPDATE")
        waiting = beside.submit(send, eve, "external_id,name\nheld,y\n")
        wait_until(lambda: empty.execute(RUNNING) == [(1,)])
        with export_slowly(eve) as client:
            assert client.recv(12) == b"HTTP/1.1 200"
            for refused in (send(joe, "name\nJoe's\n"), joe.ask("GET", "/sites/export")):
                assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
            assert joe.names() == []
        other.rollback()
        assert counts(waiting.result()) == (0, 1, 0)
        assert counts(send(joe, "name\nJoe's\n")) == (1, 0, 0)


def test_a_file_is_imported_once_under_a_key(empty: Database, ada: Caller):
    body = "name\nOnce\n"
    first = send(ada, body, Idempotency_Key="file-1")
    again = send(ada, body, Idempotency_Key="file-1")
    assert counts(first) == counts(again) == (1, 0, 0)
    assert ada.names() == ["Once"]
    assert send(ada, body + "Twice\n", Idempotency_Key="file-1").status_code == 422
    # What was refused is not kept: mended, it is a new try.
    assert errors(send(ada, 'name\n""\nX,\n', Idempotency_Key="file-2"))
    assert counts(send(ada, "name\nMended\n", Idempotency_Key="file-2")) == (1, 0, 0)


def test_who_may_only_read_may_not_import(books: Database, ada: Caller):
    reader = caller(books, ada.url.removesuffix("/v1"), "ada", "read")
    assert send(reader, "name\nX\n").status_code == 403
    assert reader.ask("GET", "/sites/export").status_code == 200


def test_a_compressed_file_is_no_file_of_rows(empty: Database, ada: Caller):
    assert errors(send(ada, gzip.compress(b"name\nX\n")))[0][0] == 1


def test_two_imports_of_the_same_sites_at_once_wait_for_each_other(empty: Database, ada: Caller):
    sites = [{"external_id": f"{number:04}", "name": "x"} for number in range(2000)]
    named = [[{**site, "name": name} for site in order] for name, order in (("a", sites), ("b", sites[::-1]))]
    with ThreadPoolExecutor(2) as both:
        answers = list(both.map(lambda rows: counts(send_sites(ada, *rows)), named))
    assert sorted(answers) == [(0, 2000, 0), (2000, 0, 0)]
    assert empty.execute("SELECT count(*), count(DISTINCT name) FROM site") == [(2000, 1)]


RUNNING = """SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%INSERT INTO site AS s%' AND state = 'active'
    AND pid <> pg_backend_pid()"""


def test_a_client_that_goes_away_in_the_middle_has_stored_nothing(empty: Database, ada: Caller):
    ada.add(external_id="held", name="x")
    body = b"external_id,name\nnew,New\nheld,y\n"
    head = f"POST /v1/sites/import HTTP/1.1\r\nHost: x\r\nX-API-Key: {ada.key}\r\nContent-Type: text/csv\r\n"
    host, port = ada.url.split("/")[2].split(":")
    with closing(empty.connect()) as other:
        other.cursor().execute("SELECT FROM site WHERE external_id = 'held' FOR UPDATE")
        with socket.create_connection((host, int(port)), timeout=20) as client:
            client.sendall(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            wait_until(lambda: empty.execute(RUNNING) == [(1,)])
        wait_until(lambda: empty.execute(RUNNING) == [(0,)])
    assert ada.names() == ["x"]


def test_gevent_imports_and_exports_the_same_without_copy(empty: Database):
    env = environment_for({"default": empty})
    with start_gunicorn("-k", "gevent", "-w", "1", env=env) as started:
        import_and_export(caller(empty, started.url, "eve"))


def import_and_export(eve: Caller) -> None:
    many = [{"name": f"Shop {number}", "external_id": f"e-{number}"} for number in range(1000)]
    assert counts(send_sites(eve, *sites_of_many_kinds(), *many)) == (1016, 0, 0)
    for kind in (CSV, JSON_LINES):
        assert counts(send(eve, exported(eve, kind).content, kind)) == (0, 0, 1016)
    assert len(exported(eve, GEOJSON).json()["features"]) == 1016
    assert errors(send_sites(eve, *many, {"name": ""})) == [
        (1001, "name", 'name is "": must have at least 1 character')
    ]


def test_the_time_for_an_import_is_its_own(empty: Database):
    settings = {"SERVER_STATEMENT_TIMEOUT": "0.3", "SERVER_DEADLINE": "0.5", "BULK_DEADLINE": "1.5"}
    env = environment_for({"default": empty}, **settings)
    with (
        start_gunicorn("-k", "gthread", "-w", "1", "--threads", "4", env=env) as started,
        closing(empty.connect()) as other,
    ):
        eve = caller(empty, started.url, "eve")
        eve.add(external_id="held", name="x")
        other.cursor().execute("SELECT FROM site WHERE external_id = 'held' FOR UPDATE")
        begun = time.monotonic()
        answer = send(eve, "external_id,name\nheld,y\n")
        assert (answer.status_code, time.monotonic() - begun > 1) == (504, True)
        assert eve.names() == ["x"]


WAITING_FOR_A_KEY = """SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%INTO idempotency_key%'
    AND wait_event_type = 'Lock' AND now() - query_start > interval '1.5 s'"""


def test_a_file_that_is_sent_again_waits_for_the_first_one(empty: Database):
    settings = {"SERVER_STATEMENT_TIMEOUT": "1", "SERVER_DEADLINE": "30", "BULK_DEADLINE": "30"}
    env = environment_for({"default": empty}, **settings)
    with (
        start_gunicorn("-k", "gthread", "-w", "1", "--threads", "4", env=env) as started,
        ThreadPoolExecutor(2) as both,
        closing(empty.connect()) as other,
    ):
        eve = caller(empty, started.url, "eve")
        eve.add(external_id="held", name="x")
        other.cursor().execute("SELECT FROM site WHERE external_id = 'held' FOR UPDATE")
        body = "external_id,name\nheld,y\n"
        sent = [both.submit(send, eve, body, Idempotency_Key="file-1") for _ in range(2)]
        wait_until(lambda: empty.execute(WAITING_FOR_A_KEY) == [(1,)])
        other.rollback()
        assert [counts(each.result()) for each in sent] == [(0, 1, 0)] * 2
