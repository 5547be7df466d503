"""JSON that readers differ in, or nested without end: a 4xx wherever it comes from, and what is wrong is named."""

import pytest
import requests

from tests.service.conftest import environment_for
from tests.sites.support import MERGE_PATCH, Caller, caller
from tests.sites.test_import_export import JSON_LINES, errors, send
from tests.support.process import OWN_WORKER, start_gunicorn
from tests.support.servers import Database


def nested(levels: int, kind: str = "[]") -> str:
    opening = "[" if kind == "[]" else '{"a":'
    return opening * levels + "1" + kind[1] * levels


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"name": "a", "name": "b"}', 'an object has the name "name" more than once'),
        (
            '{"name": "a", "attributes": {"b": [{"c": 1, "c": 1}]}}',
            'an object has the name "c" more than once',
        ),
        ('{"name": "a", "lat": NaN, "lon": 1}', "NaN is no JSON number"),
        ('{"name": "a", "lat": 1, "lon": -Infinity}', "-Infinity is no JSON number"),
        ('{"name": "a", "lat": 1e400, "lon": 1}', "the number 1e400 is too large"),
        (f'{{"name": "a", "city_id": {"9" * 400}}}', f"the number {'9' * 40}… is too large"),
        ('{"name": "a\\ud800"}', "a text has half of a surrogate pair"),
        (
            f'{{"name": "a", "attributes": {{"b": {nested(31)}}}}}',
            "it has more than 32 levels of arrays and objects",
        ),
        (f'{{"name": "a", "attributes": {{"b": {nested(100_000)}}}}}', "it is nested too deeply"),
        ('{"name": "a"} {}', "Extra data: line 1 column 15 (char 14)"),
        ("{'name': 'a'}", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    ],
)
def test_an_import_names_the_line_that_is_no_strict_json(
    empty: Database, ada: Caller, line: str, reason: str
):
    body = f'{{"name": "first"}}\n\n{line}\n{{"name": "last"}}\n'
    assert errors(send(ada, body, JSON_LINES)) == [(3, None, f"is not valid JSON: {reason}")]
    assert empty.execute("SELECT count(*) FROM site") == [(0,)]


def test_an_import_takes_as_many_levels_as_there_may_be(empty: Database, ada: Caller):
    body = f'{{"name": "a", "attributes": {{"b": {nested(30)}}}}}\n'
    assert send(ada, body, JSON_LINES).json()["created"] == 1


def test_a_site_that_was_stored_too_deep_is_read_and_replaced_and_merged_or_refused(
    empty: Database, ada: Caller
):
    site = ada.add(name="Deep")["id"]
    empty.execute(f"""UPDATE site SET attributes = '{{"a": {nested(3000)}}}'""")
    # How deep is too deep is Python's to say: 3.11's decoder ends at a thousand levels, 3.13's at more than these.
    merged = ada.ask("PATCH", f"/sites/{site}", {"name": "x"}, {"Content-Type": MERGE_PATCH})
    if merged.ok:
        assert '"name":"x"' in merged.text
    else:
        refusal = "The site is nested too deeply to be merged. PUT replaces it."
        assert (merged.status_code, merged.json()["detail"]) == (409, refusal)
    assert nested(3000) in ada.ask("GET", f"/sites/{site}").text
    assert ada.put(site, {"name": "Flat"})["attributes"] == {}
    assert ada.patch(site, {"name": "x"})["name"] == "x"


@pytest.mark.parametrize("worker", ["gevent", "gthread", OWN_WORKER])
def test_without_a_bound_what_is_too_deep_for_python_is_a_4xx(empty: Database, worker: str):
    env = environment_for({"default": empty}, LIMITS_JSON_DEPTH="0", LIMITS_WRITES_PER_ADDRESS="0")
    with start_gunicorn("-k", worker, "-w", "1", env=env) as service:
        eve = caller(empty, service.url, "eve")
        site = eve.add()["id"]
        found = {
            (method, ask(eve, method, path, kind, f'{{"name": "x", "attributes": {nested(levels, "{}")}}}'))
            for levels in [*range(495, 500), *range(500, 1010, 15), 1400]
            for method, path, kind in (
                ("POST", "/sites", "application/json"),
                ("PATCH", f"/sites/{site}", MERGE_PATCH),
                ("POST", "/sites/import", JSON_LINES),
            )
        }
        taken, refused = {("POST", 201), ("PATCH", 200), ("POST", 200)}, {("POST", 400), ("PATCH", 400)}
        assert found == taken | refused
        assert "Traceback" not in service.log()


def ask(caller: Caller, method: str, path: str, kind: str, body: str) -> int:
    headers = {"X-API-Key": caller.key, "Content-Type": kind}
    return requests.request(method, caller.url + path, data=body, headers=headers, timeout=30).status_code
