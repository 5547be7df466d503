"""One owner never reads or changes what is another's, by no operation that there is."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
import requests
from psycopg2.errors import CheckViolation, UndefinedObject

from swagger_server.queries import sites
from tests.api.contract import Contract
from tests.sites.support import MERGE_PATCH, Caller, caller
from tests.support.process import Gunicorn
from tests.support.servers import Database

METHODS = {"get", "put", "post", "delete", "patch"}
POINT = {"lat": 48.85, "lon": 2.35}


def list_is_ones_own(ada: Caller, bob: Caller, site: Any) -> None:
    assert [each["id"] for each in ada.get("/sites")["items"]] == [site["id"]]
    for query in ({}, {"q": "treasury"}, {"country": "FR"}, {"near": "48.85,2.35"}, {"external_id": "t"}):
        assert ada.names(**query) == ["Treasury"]
        assert bob.names(**query) == []


def cursor_is_of_no_use_to_another(ada: Caller, bob: Caller, site: Any) -> None:
    list_is_ones_own(ada, bob, site)
    ada.add(name="Zoo")
    second = ada.get("/sites", limit=1)["next"]
    assert [each["name"] for each in ada.get(second)["items"]] == ["Zoo"]
    assert bob.get(second)["items"] == []


def nearest_is_ones_own(ada: Caller, bob: Caller, site: Any) -> None:
    assert [each["id"] for each in ada.get("/sites/nearest", **POINT)["items"]] == [site["id"]]
    assert bob.get("/sites/nearest", **POINT)["items"] == []


def added_is_the_adders(ada: Caller, bob: Caller, site: Any) -> None:
    assert bob.add(name="Counter", external_id="t")["id"] != site["id"]  # ada's external_id is no hindrance
    assert (ada.names(), bob.names()) == (["Treasury"], ["Counter"])
    bob.add(name="Forged", owner="ada", status=400)
    key = {"Idempotency-Key": "shared"}
    assert ada.add(name="Mine", headers=key)["id"] != bob.add(name="Mine", headers=key)["id"]


def read_is_not_found(_ada: Caller, bob: Caller, site: Any) -> None:
    bob.get(f"/sites/{site['id']}", status=404)
    assert bob.ask("HEAD", f"/sites/{site['id']}").status_code == 404
    known = {"If-None-Match": '"1"'}
    assert bob.ask("GET", f"/sites/{site['id']}", headers=known).status_code == 404


def replace_is_not_found(_ada: Caller, bob: Caller, site: Any) -> None:
    for headers in ({}, {"If_Match": '"1"'}, {"If_Match": "*"}, {"If_Match": '"7"'}):
        bob.put(site["id"], {"name": "Mine now"}, status=404, **headers)


def merge_is_not_found(_ada: Caller, bob: Caller, site: Any) -> None:
    for headers in ({}, {"If_Match": '"1"'}, {"If_Match": "*"}, {"If_Match": '"7"'}):
        bob.patch(site["id"], {"name": "Mine now"}, status=404, **headers)


def delete_is_not_found(_ada: Caller, bob: Caller, site: Any) -> None:
    for headers in ({}, {"If-Match": '"1"'}, {"If-Match": "*"}):
        assert bob.ask("DELETE", f"/sites/{site['id']}", headers=headers).status_code == 404


def import_makes_ones_own(ada: Caller, bob: Caller, site: Any) -> None:
    # Both by her site's external_id and by its id.
    file = f"id,external_id,name\n,t,By number\n{site['id']},,By id\n"
    headers = {"X-API-Key": bob.key, "Content-Type": "text/csv"}
    answer = requests.post(f"{bob.url}/sites/import", file, headers=headers, timeout=30)
    assert answer.json() == {"created": 2, "updated": 0, "unchanged": 0}
    assert (bob.names(), ada.names()) == (["By id", "By number"], ["Treasury"])


def export_is_ones_own(ada: Caller, bob: Caller, site: Any) -> None:
    for kind in ("csv", "ndjson", "geojson"):
        assert site["id"] in ada.ask("GET", "/sites/export", format=kind).text
        assert site["id"] not in bob.ask("GET", "/sites/export", format=kind).text


Trial = Callable[[Caller, Caller, Any], None]
TRIALS: list[tuple[str, str, Trial]] = [
    ("get", "/sites", list_is_ones_own),
    ("get", "/sites", cursor_is_of_no_use_to_another),
    ("post", "/sites", added_is_the_adders),
    ("get", "/sites/nearest", nearest_is_ones_own),
    ("post", "/sites/import", import_makes_ones_own),
    ("get", "/sites/export", export_is_ones_own),
    ("get", "/sites/{id}", read_is_not_found),
    ("put", "/sites/{id}", replace_is_not_found),
    ("patch", "/sites/{id}", merge_is_not_found),
    ("delete", "/sites/{id}", delete_is_not_found),
]


def operations() -> set[tuple[str, str]]:
    paths = Contract().spec["paths"]
    return {(m, path) for path in paths if path.startswith("/sites") for m in set(paths[path]) & METHODS}


def test_each_operation_is_tried_by_two_owners() -> None:
    assert {(method, path) for method, path, _ in TRIALS} == operations()


@pytest.mark.parametrize("trial", [trial for _, _, trial in TRIALS])
def test_an_owner_has_only_what_is_its_own(ada: Caller, bob: Caller, empty: Database, trial: Trial) -> None:
    site = ada.add(name="Treasury", external_id="t", **POINT, country="FR")
    trial(ada, bob, site)
    assert ada.get(f"/sites/{site['id']}") == site


def test_each_operation_asks_who_is_calling(service: Gunicorn, ada: Caller, empty: Database) -> None:
    site = ada.add(**POINT)["id"]
    for method, path in operations():
        url = f"{service.url}/v1{path.replace('{id}', site)}"
        body = {} if method in ("get", "delete") else {"json": {"name": "X"}}
        answer = requests.request(method, url, params=POINT if "nearest" in path else {}, **body, timeout=20)
        assert (method, path, answer.status_code) == (method, path, 401)


def test_without_a_claim_nothing_is_seen_not_even_by_the_tables_owner(ada: Caller, empty: Database) -> None:
    ada.add()
    empty.execute(
        "DO $$ BEGIN CREATE ROLE sites_books LOGIN IN ROLE swagger_server_sites;"
        " EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$"
    )
    login = Database({**empty.connect_kwargs, "user": "sites_books"})
    assert login.execute("SELECT count(*) FROM site") == [(0,)]
    assert login.execute("SELECT count(*) FROM idempotency_key") == [(0,)]
    owner = empty.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'site'")[0][0]
    empty.execute("ALTER TABLE site OWNER TO sites_books")
    try:
        assert login.execute("SELECT count(*) FROM site") == [(0,)]
    finally:
        empty.execute(f"ALTER TABLE site OWNER TO {owner}")


def test_a_login_above_all_policies_that_claims_nothing_sees_nothing(ada: Caller, empty: Database) -> None:
    site = ada.add(**POINT)["id"]
    with closing(empty.connect()) as connection:
        connection.autocommit = True
        assert sites.list_sites(connection, 10, None).is_empty
        assert sites.nearest_sites(connection, 48, 2, 10, None).is_empty
        assert sites.find_site(connection, site) is sites.lock_site(connection, site) is None
        sites.remove_site(connection, site)
        with pytest.raises(UndefinedObject):
            sites.add_site(connection, sites.given({"name": "Whose?"}))
    assert ada.names() == ["Shop"]


def test_what_a_claim_leaves_in_a_session_is_nobodys_name(empty: Database) -> None:
    # A setting that was SET LOCAL once is empty afterwards, and no longer null.
    with pytest.raises(CheckViolation):
        empty.execute("INSERT INTO site (owner, name, search_key) VALUES ('', 'x', 'x')")


def test_a_key_that_may_only_read_changes_nothing(ada: Caller, empty: Database, service: Gunicorn) -> None:
    site = ada.add()
    reader = caller(empty, service.url, "ada", "read")
    assert reader.names() == ["Shop"]
    reader.add(status=403)
    reader.put(site["id"], {"name": "X"}, status=403)
    reader.patch(site["id"], {"name": "X"}, status=403)
    assert reader.ask("DELETE", f"/sites/{site['id']}").status_code == 403
    assert ada.get(f"/sites/{site['id']}") == site


def test_a_merge_patch_has_a_type_of_its_own() -> None:
    content = Contract().spec["paths"]["/sites/{id}"]["patch"]["requestBody"]["content"]
    assert set(content) == {MERGE_PATCH, "application/json"}
