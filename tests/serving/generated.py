"""Requests made from the gallery's specs by chance: right, nearly right and wrong ones.

Each parameter is given, left out, repeated or replaced by nonsense, each body may be wrong in any place
of it, and now and then the path, the method or the content type is another one.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from connexion.spec import Specification
from hypothesis import strategies as st

from tests.serving.calls.making import basic, send_parts
from tests.serving.gallery import HERE
from tests.serving.sides import Call

Strategy = st.SearchStrategy[Any]

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")

_FORMATS_APART = ("/path/format/{id}/{type}", "/body/formats")
"""What is checked here and not by Connexion: compared by hand-picked requests only."""

_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


@dataclass(frozen=True)
class Operation:
    """One operation of a spec: where it is, and what it takes."""

    base: str
    path: str
    method: str
    parameters: tuple[dict[str, Any], ...]
    bodies: dict[str, dict[str, Any]]


def operations() -> list[Operation]:
    """Those of all the gallery's specs, the first one leniently and strictly served."""
    found = [*_operations("gallery.yaml", "/gallery"), *_operations("gallery.yaml", "/strict")]
    return [*found, *_operations("secured.yaml", "/secured"), *_operations("old.yaml", "/old")]


def _operations(name: str, base: str) -> Iterator[Operation]:
    spec = Specification.load(HERE / name)
    for path, item in spec["paths"].items():
        for method in _METHODS:
            if method in item and path not in _FORMATS_APART:
                given = [*item.get("parameters", ()), *item[method].get("parameters", ())]
                yield Operation(base, path, method.upper(), tuple(given), _bodies(item[method], given))


def _bodies(operation: dict[str, Any], parameters: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The schemas of what may be sent, by content type."""
    content = operation.get("requestBody", {}).get("content", {})
    of_version_2 = [p["schema"] for p in parameters if p["in"] == "body"]
    found = {kind: part.get("schema", {}) for kind, part in content.items()}
    found.update(("application/json", schema) for schema in of_version_2)
    fields = {p["name"]: p for p in parameters if p["in"] == "formData"}
    if fields:
        found.update(
            (kind, {"type": "object", "properties": fields}) for kind in operation.get("consumes", _FORMS)
        )
    return found


# Values

_WORDS = st.sampled_from(
    ["", "a", "ab", "Ada", "red", "true", "null", "1", "-1", "1.5", "1,2", "a|b", "0x1", " "]
)
# Connexion by itself checks nothing where a path has a line feed.
_CHARACTERS = st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\n")
_TEXT = _WORDS | st.text(_CHARACTERS, max_size=8)
_NUMBERS = st.integers(-3, 200) | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
_SCALARS = st.none() | st.booleans() | _NUMBERS | _TEXT
_ANYTHING = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=5,
)


def values(schema: dict[str, Any]) -> Strategy:
    """Values that are mostly as the schema wants them, and wrong somewhere now and then."""
    right = _right(schema)
    return st.one_of(right, right, right, right, right, _SCALARS, _ANYTHING)


def _right(schema: dict[str, Any]) -> Strategy:
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "allOf" in schema:
        return st.dictionaries(st.sampled_from(["kind", "radius", "side", "note", "forbidden"]), _composed())
    maker = _RIGHT_BY_TYPE.get(schema.get("type", ""))
    return _ANYTHING if maker is None else maker(schema)


def _composed() -> Strategy:
    return st.sampled_from(["circle", "square", 1, 2.5]) | _SCALARS


def _integers(schema: dict[str, Any]) -> Strategy:
    low, high = schema.get("minimum"), schema.get("maximum")
    return st.integers(None if low is None else int(low) - 1, None if high is None else int(high) + 1)


def _numbers(schema: dict[str, Any]) -> Strategy:
    return st.sampled_from([-11, -0.5, 0, 0.5, 1, 1.5, 2.0, 10]) | _NUMBERS


def _texts(schema: dict[str, Any]) -> Strategy:
    pattern = schema.get("pattern")
    if pattern is not None:
        # What ends in a line feed is a difference of its own.
        return st.from_regex(pattern).filter(lambda text: not text.endswith("\n")) | _TEXT
    low, high = schema.get("minLength", 0), schema.get("maxLength", 10)
    return st.text(st.sampled_from("abc üß€😀/+&=%"), min_size=max(0, low - 1), max_size=high + 1)


def _lists(schema: dict[str, Any]) -> Strategy:
    return st.lists(values(schema.get("items", {})), max_size=schema.get("maxItems", 3) + 1)


def _objects(schema: dict[str, Any]) -> Strategy:
    properties = {name: values(inner) for name, inner in schema.get("properties", {}).items()}
    required = {name: properties.pop(name) for name in schema.get("required", ()) if name in properties}
    known = st.fixed_dictionaries(required, optional=properties)
    return (
        known
        | known
        | st.builds(lambda a, b: {**a, **b}, known, st.dictionaries(_TEXT, _SCALARS, max_size=2))
    )


_RIGHT_BY_TYPE = {
    "integer": _integers,
    "number": _numbers,
    "string": _texts,
    "file": _texts,
    "boolean": lambda _schema: st.booleans(),
    "array": _lists,
    "object": _objects,
}


def _plain(value: Any) -> str:
    """A value as it stands in a form or an address."""
    if isinstance(value, str):
        return value
    return ",".join(map(_plain, value)) if isinstance(value, list) else json.dumps(value)


# Parts of a request


def _targets(operation: Operation) -> Strategy:
    return st.builds(
        lambda path, query: f"{operation.base}{path}{'?' if query else ''}{query}",
        _paths(operation),
        _queries(operation),
    )


def _paths(operation: Operation) -> Strategy:
    given = {p["name"]: values(p.get("schema", p)) for p in operation.parameters if p["in"] == "path"}
    right = st.fixed_dictionaries(given).map(lambda found: _filled(operation.path, found))
    if not given:
        return st.sampled_from([quote(operation.path)] * 20 + [f"{quote(operation.path)}/"])
    return right


def _filled(path: str, found: dict[str, Any]) -> str:
    for name, value in found.items():
        path = path.replace(f"{{{name}}}", quote(_plain(value), safe=":@!$'()*,;"))
    return quote(path, safe="/%:@!$'()*,;")


def _queries(operation: Operation) -> Strategy:
    given = [p for p in operation.parameters if p["in"] == "query"]
    pairs = [pair for parameter in given for pair in _pairs(parameter)]
    odd = st.tuples(st.sampled_from(["unknown", "key", "number"]), _TEXT)
    pair = st.one_of(*pairs, *pairs, odd) if pairs else odd
    several = st.lists(pair, max_size=5 if pairs else 1)
    return several.map(lambda found: urlencode(found, safe="|,[]", quote_via=quote))


def _pairs(parameter: dict[str, Any]) -> Iterator[Strategy]:
    name, schema = parameter["name"], parameter.get("schema", parameter)
    if schema.get("type") == "object":
        for key, inner in schema["properties"].items():
            yield st.tuples(st.just(f"{name}[{key}]"), values(inner).map(_plain))
        yield st.tuples(st.just(f"{name}[unknown]"), _TEXT)
        return
    delimiter = {"pipeDelimited": "|", "spaceDelimited": " "}.get(parameter.get("style", ""), ",")
    plain = values(schema).map(lambda value: _plain(value).replace(",", delimiter))
    yield st.tuples(st.just(name), plain)


_HEADER_TEXT = st.text(
    st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), max_size=6
)

_CREDENTIALS = {
    "X-Key": ("ada-key", "bob-key", "wrong", "banned"),
    "Authorization": (
        "Bearer reader",
        "Bearer writer",
        "Bearer wrong",
        basic("ada", "secret"),
        basic("ada", "wrong"),
        "Basic",
    ),
    "Cookie": (
        "key=ada-key",
        "key=wrong",
        "flavour=mint",
        "flavour=salt",
        "visit=12",
        "visit=1; flavour=mint",
    ),
    "X-Stop": ("yes", "raise"),
}


def _header_sets(operation: Operation) -> Strategy:
    given = {
        p["name"]: values(p.get("schema", p)).map(_as_header) | _HEADER_TEXT
        for p in operation.parameters
        if p["in"] == "header"
    }
    secured = operation.base in ("/secured", "/old") or operation.path in ("/key", "/written/context")
    likely = [{name: st.sampled_from(some)} for name, some in _CREDENTIALS.items()]
    chance = st.sampled_from(likely).flatmap(st.fixed_dictionaries)
    own = st.fixed_dictionaries({}, optional=given)
    extra = chance | st.just({}) if secured or "cookie" in operation.path else st.just({})
    return st.builds(lambda a, b: {**b, **a}, own, extra)


def _as_header(value: Any) -> str:
    return _plain(value).encode("latin-1", "ignore").decode("latin-1").translate(_NO_CONTROLS).strip()


_NO_CONTROLS = dict.fromkeys((*range(32), 127))


@dataclass(frozen=True)
class _Body:
    content: bytes
    kind: str | None


def _any_body(operation: Operation) -> Strategy:
    if not operation.bodies:
        return st.just(_Body(b"", None))
    right = st.one_of(*(_of_kind(kind, schema) for kind, schema in operation.bodies.items()))
    return st.one_of(right, right, right, right, _odd_body(sorted(operation.bodies)))


def _odd_body(kinds: list[str]) -> Strategy:
    kind = st.sampled_from(
        [*kinds, *kinds, "text/plain", "application/json", "application/octet-stream", None]
    )
    content = st.binary(max_size=20) | _ANYTHING.map(lambda value: json.dumps(value).encode())
    return st.builds(_Body, content, kind)


def _of_kind(kind: str, schema: dict[str, Any]) -> Strategy:
    if "json" in kind:
        return values(schema).map(lambda value: _Body(json.dumps(value).encode(), kind))
    if kind not in _FORMS:
        return st.binary(max_size=10).map(lambda content: _Body(content, kind.replace("*", "png")))
    fields = st.lists(_fields(schema), max_size=5)
    return fields.map(_urlencoded if kind == _FORMS[0] else _multipart)


def _fields(schema: dict[str, Any]) -> Strategy:
    known = schema.get("properties", {})
    named = [
        st.tuples(st.just(name), values(inner).map(_plain), _is_file(inner)) for name, inner in known.items()
    ]
    odd = st.tuples(st.sampled_from(["unknown", "name"]), _TEXT, st.booleans())
    return st.one_of(*named, *named, odd) if named else odd


def _is_file(schema: dict[str, Any]) -> Strategy:
    is_file = schema.get("type") == "file" or "binary" in (
        schema.get("format"),
        schema.get("items", {}).get("format"),
    )
    return st.sampled_from([is_file] * 9 + [not is_file])


def _urlencoded(fields: list[tuple[str, str, bool]]) -> _Body:
    return _Body(urlencode([(name, value) for name, value, _file in fields]).encode(), _FORMS[0])


def _multipart(fields: list[tuple[str, str, bool]]) -> _Body:
    parts = [(name, "f.bin" if is_file else None, value.encode(), None) for name, value, is_file in fields]
    call = send_parts("", *parts, boundary="a-boundary-of-its-own")
    return _Body(call.body, dict(call.headers)["Content-Type"])


def _call(operation: Operation) -> Strategy:
    method = st.sampled_from([operation.method] * 30 + ["GET", "POST", "DELETE", "HEAD", "OPTIONS"])
    return st.builds(_joined, method, _targets(operation), _header_sets(operation), _any_body(operation))


def _joined(method: str, target: str, headers: dict[str, str], body: _Body) -> Call:
    kind = () if body.kind is None else (("Content-Type", body.kind),)
    return Call(method, target, (*kind, *headers.items()), body.content)


def requests() -> Strategy:
    """Calls to any operation of the gallery."""
    by_operation = [_call(operation) for operation in operations()]
    return st.sampled_from(by_operation).flatmap(lambda made: made)
