"""The alert rules and the dashboard ask only for what the running service shows, in words that are PromQL."""

import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
import requests
import yaml

from tests.service.conftest import LEDGER, environment_for
from tests.support.exposition import Scrape
from tests.support.process import CHECKOUT, start_gunicorn
from tests.support.servers import Database, temporary_database

DEPLOY = CHECKOUT / "deploy"

ADDED = {"job", "instance"}
"""Labels that Prometheus gives to everything that it scrapes."""

UP = {"up": ADDED}
"""What it says itself of each place that it scrapes."""

Labels = dict[str, set[str]]


@pytest.fixture(scope="module")
def shown(postgres: Database) -> Labels:
    """The labels of every name that a service shows once it has answered a request."""
    with temporary_database(postgres, "shown") as database:
        env = environment_for({"default": database})
        with start_gunicorn("-w", "1", "-k", "gthread", env=env, app=LEDGER) as service:
            assert requests.get(f"{service.url}/ledger/values", timeout=20).ok
            labels = Scrape(service).labels()
    return UP | {name: of_it | ADDED for name, of_it in labels.items()}


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> Any:
    return json.loads((DEPLOY / "grafana.json").read_text())


def expressions() -> Iterator[str]:
    for rule in alerts():
        yield rule["expr"]
    for panel in dashboard()["panels"]:
        yield from (as_promql(target["expr"]) for target in panel["targets"])


def as_promql(text: str) -> str:
    """With something in the place of the dashboard's variables."""
    return re.sub(r"\$(\w+)", "any", text.replace("$__rate_interval", "1m"))


def parts(expression: Any) -> Iterator[Any]:
    """An expression and all that it is made of."""
    yield expression
    for name in ("expr", "lhs", "rhs", "param", "vector_selector", "vs"):
        part = getattr(expression, name, None)
        if part is not None and type(part).__module__.startswith("promql_parser"):
            yield from parts(part)
    for argument in getattr(expression, "args", None) or ():
        yield from parts(argument)


def wrong(text: str, shown: Labels) -> list[str]:
    """What an expression asks for that is not there; promql_parser raises ValueError for what is no PromQL."""
    found: list[str] = []
    names: set[str] = set()
    for part in parts(promql_parser.parse(text)):
        if isinstance(part, promql_parser.VectorSelector):
            names.add(part.name)
            labels = {matcher.name for matcher in part.matchers.matchers}
            found += [f"{part.name}{{{label}}}" for label in labels - shown.get(part.name, set())]
            found += [] if part.name in shown else [part.name]
    known = set().union(*(shown.get(name, set()) for name in names))
    for part in parts(promql_parser.parse(text)):
        modifier = getattr(part, "modifier", None)
        if isinstance(part, promql_parser.AggregateExpr) and modifier is not None:
            found += [f"by ({label})" for label in modifier.labels if label not in known]
    return found


def test_every_expression_asks_for_what_is_there(shown: Labels):
    asked = list(expressions())
    assert len(asked) > 25
    assert {text: wrong(text, shown) for text in asked if wrong(text, shown)} == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rate(swagger_server_pool_refusal_total[5m])", ["swagger_server_pool_refusal_total"]),
        ('swagger_server_pool_connections{status="idle"}', ["swagger_server_pool_connections{status}"]),
        ("sum by (state) (swagger_server_pool_waiting) > 0", ["by (state)"]),
        ("1 - (max by (host) (swagger_server_pool_down) or vector(0))", ["by (host)"]),
        (
            "histogram_quantile(0.9, sum by (lt) (rate(swagger_server_pool_wait_seconds_bucket[5m])))",
            ["by (lt)"],
        ),
    ],
)
def test_a_wrong_name_would_be_found(shown: Labels, text: str, told: list[str]):
    assert wrong(text, shown) == told


def test_what_is_no_promql_would_be_found():
    with pytest.raises(ValueError, match="parenthesis"):
        promql_parser.parse("sum by (pool) (rate(swagger_server_pool_waiting[5m])")


def test_every_alert_has_its_section_for_the_person_on_call():
    sections = re.findall(r"(?m)^## (\w+)$", (CHECKOUT / "docs" / "on-call.md").read_text())
    assert sorted({*sections} - {"First"}) == sorted(rule["alert"] for rule in alerts())


def test_every_alert_says_what_it_is_and_how_urgent(shown: Labels):
    rules = alerts()
    names = [rule["alert"] for rule in rules]
    assert len(names) == len(set(names))
    for rule in rules:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        mentioned = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        assert mentioned <= left_by(rule["expr"], shown), rule["alert"]


def left_by(text: str, shown: Labels) -> set[str]:
    """The labels of what an expression gives: those of its outermost aggregation, else of what it asks for."""
    for part in parts(promql_parser.parse(text)):
        if isinstance(part, promql_parser.AggregateExpr):
            return set(part.modifier.labels)
        if isinstance(part, promql_parser.VectorSelector):
            return shown[part.name]
    raise AssertionError(text)


def test_the_dashboards_variables_are_declared_and_ask_for_what_is_there(shown: Labels):
    declared = {each["name"]: each for each in dashboard()["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(dashboard()["panels"]))) - {"__rate_interval"}
    assert used <= set(declared)
    queries = [each["query"]["query"] for each in declared.values() if each["type"] == "query"]
    assert len(queries) == 3
    for query in queries:
        asked = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
        assert asked is not None
        assert wrong(as_promql(asked[1]), shown) == []
        assert asked[2] in shown[promql_parser.parse(as_promql(asked[1])).name]


def test_the_panels_have_places_of_their_own():
    places = [panel["gridPos"] for panel in dashboard()["panels"]]
    taken = [
        (x, y)
        for at in places
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24
