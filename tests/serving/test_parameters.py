"""Compiled parameters: Connexion's verdicts and values, without its way to them."""

import urllib.parse
from typing import Any

import pytest
from connexion.decorators.parameter import get_arguments, sanitized
from connexion.exceptions import BadRequestProblem, ExtraParameterProblem
from connexion.lifecycle import WSGIRequest
from connexion.operations import AbstractOperation, OpenAPIOperation, Swagger2Operation
from connexion.resolver import Resolver
from connexion.uri_parsing import AlwaysMultiURIParser, FirstValueURIParser, OpenAPIURIParser
from connexion.validators import ParameterValidator
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request as WerkzeugRequest

from swagger_server.serving import Request, translate
from swagger_server.serving.parameters import Parameters, compile_parameters

Described = dict[str, Any]

REFUSED = "refused"


class Anything:
    """A controller with whatever arguments are asked for."""

    def __contains__(self, name: object) -> bool:
        return True

    def __len__(self) -> int:
        return 1


def operation_with(
    parameters: list[Described],
    *,
    path: str = "/it",
    kind: type[AbstractOperation] = OpenAPIOperation,
    **options: Any,
) -> AbstractOperation:
    described = {"operationId": "any", "parameters": list(parameters), "responses": {"200": {}}}
    if kind is Swagger2Operation:
        options |= {"app_produces": [], "app_consumes": []}
    return kind("get", path, described, Resolver(function_resolver=lambda _: print), **options)


def compiled(
    operation: AbstractOperation, *, arguments: Any = None, strict: bool = False, **options: Any
) -> Parameters | None:
    return compile_parameters(
        operation, strict=strict, arguments=arguments or Anything(), argument_name=sanitized, **options
    )


def request_with(query: bytes, path_values: dict[str, Any], headers: list[tuple[str, str]]) -> Request:
    environ = EnvironBuilder(path="/it", headers=headers).get_environ()
    environ["QUERY_STRING"] = query.decode("latin-1")
    scope = translate.scope_from_environ(environ)
    scope["path_params"] = path_values
    return Request(scope, environ=environ)


def by_connexion(
    operation: AbstractOperation,
    request: Request,
    *,
    arguments: Any = None,
    strict: bool = False,
    security_query_params: tuple[str, ...] = (),
) -> Any:
    """What Connexion's own classes make of the request: the controller's arguments, or REFUSED."""
    parser = operation.uri_parser_class(operation.parameters, operation.body_definition())
    validator = ParameterValidator(
        operation.parameters,
        uri_parser=parser,
        strict_validation=strict,
        security_query_params=security_query_params,
    )
    try:
        validator.validate(request.scope)
    except BadRequestProblem:
        return REFUSED
    flask_side = WSGIRequest(
        WerkzeugRequest(request.environ), uri_parser=parser, view_args=request.scope["path_params"]
    )
    values = get_arguments(
        operation,
        path_params=flask_side.path_params,
        query_params=flask_side.query_params,
        body=None,
        files={},
        arguments=arguments or Anything(),
        has_kwargs=False,
        sanitize=sanitized,
        content_type="application/json",
    )
    return {sanitized(name): value for name, value in values.items()}


def by_us(parameters: Parameters, request: Request) -> Any:
    try:
        return parameters(request.scope["path_params"], request)
    except BadRequestProblem:
        return REFUSED


def same(one: Any, other: Any) -> bool:
    """Equal, also in kind: 1 is not 1.0, and NaN is NaN. The order of arguments does not matter."""
    if REFUSED in (one, other):
        return bool(one == other)
    return repr(sorted(one.items())) == repr(sorted(other.items()))


def query(name: str, schema: Described, **more: Any) -> Described:
    return {"name": name, "in": "query", "schema": schema, **more}


def values_of(
    parameters: list[Described],
    query_string: str | bytes = b"",
    *,
    path_values: dict[str, Any] | None = None,
    headers: list[tuple[str, str]] | None = None,
    path: str = "/it",
    **options: Any,
) -> Any:
    """The values, after making sure that Connexion has the same."""
    operation = operation_with(parameters, path=path)
    raw = query_string if isinstance(query_string, bytes) else query_string.encode()
    request = request_with(raw, path_values or {}, headers or [])
    ours = by_us(compiled(operation, **options), request)
    theirs = by_connexion(operation, request, **options)
    assert same(ours, theirs)
    return ours


def detail_of(parameters: list[Described], query_string: bytes = b"", **options: Any) -> str:
    operation = operation_with(parameters)
    parameters_of_it = compiled(operation, **options)
    with pytest.raises(BadRequestProblem) as refusal:
        parameters_of_it({}, request_with(query_string, {}, []))
    assert by_connexion(operation, request_with(query_string, {}, []), **options) == REFUSED
    return refusal.value.detail


LIMIT = query("limit", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20})
Q = query("q", {"type": "string", "minLength": 1}, required=True)
TAGS = query("tags", {"type": "array", "items": {"type": "integer"}})


def test_values_are_converted_and_defaults_filled_in():
    assert values_of([LIMIT, Q], b"q=caf%C3%A9+au+lait&limit=5") == {"limit": 5, "q": "café au lait"}
    assert values_of([LIMIT, Q], b"q=x") == {"limit": 20, "q": "x"}


def test_the_last_of_several_values_counts_and_arrays_are_joined():
    assert values_of([LIMIT], b"limit=1&limit=2") == {"limit": 2}
    assert values_of([TAGS], b"tags=1,2&tags=3") == {"tags": [1, 2, 3]}
    piped = {**TAGS, "style": "pipeDelimited"}
    assert values_of([piped], b"tags=1&tags=2%7C3") == {"tags": [2, 3]}
    assert values_of([{**TAGS, "style": "spaceDelimited", "explode": True}], b"tags=1+2&tags=3") == {
        "tags": [1, 2, 3]
    }
    assert values_of([{**TAGS, "explode": False}], b"tags=1,2&tags=3") == {"tags": [3]}


def test_null_is_nothing_for_what_is_nullable():
    declared = [query("n", {"type": "integer", "nullable": True}), query("s", {"type": "string"})]
    assert values_of(declared, b"n=null&s=null") == {"n": None, "s": "null"}
    assert values_of(declared, b"n=+None+") == {"n": None}
    assert values_of([{**declared[0], "required": True}]) == {}
    path = {"name": "it", "in": "path", "required": True, "schema": {"type": "string", "nullable": True}}
    assert values_of([path], path="/{it}", path_values={"it": "null"}) == {"it": None}


def test_path_parameters_are_checked_and_passed_on():
    number = {"name": "number", "in": "path", "required": True, "schema": {"type": "integer", "maximum": 9}}
    assert values_of([number], path="/{number}", path_values={"number": 5}) == {"number": 5}
    assert values_of([number], path="/{number}", path_values={"number": 10}) == REFUSED


def test_a_part_of_the_path_that_has_a_dash_or_no_description_is_passed_on_as_it_is():
    dashed = {"name": "my-part", "in": "path", "required": True, "schema": {"type": "string", "maxLength": 3}}
    values = {"my_part": "abc", "free": "x"}
    assert values_of([dashed], path="/{my-part}/{free}", path_values=values) == {
        "my_part": "abc",
        "free": "x",
    }
    too_long = {"my_part": "abcd", "free": "x"}
    assert values_of([dashed], path="/{my-part}/{free}", path_values=too_long) == REFUSED


def test_headers_and_cookies_are_checked_but_not_passed_on():
    key = {"name": "X-Key", "in": "header", "required": True, "schema": {"type": "string", "maxLength": 3}}
    crumb = {"name": "crumb", "in": "cookie", "schema": {"type": "string", "enum": ["a", "b c"]}}
    both = [key, crumb]
    assert values_of(both, headers=[("X-Key", "abc"), ("Cookie", 'x=1; crumb="b c"')]) == {}
    assert values_of(both, headers=[("X-Key", "abcd")]) == REFUSED
    assert values_of(both) == REFUSED
    assert values_of(both, headers=[("x-key", "a"), ("Cookie", "crumb=c")]) == REFUSED


def test_what_the_controller_does_not_take_is_checked_and_left_out():
    assert values_of([LIMIT, Q], b"q=x&limit=5", arguments=["q"]) == {"q": "x"}
    assert values_of([LIMIT, Q], b"q=x&limit=500", arguments=["q"]) == REFUSED


def test_unknown_parameters_are_refused_only_if_strict():
    assert values_of([LIMIT], b"foo=1") == {"limit": 20}
    assert values_of([LIMIT], b"foo=1", strict=True) == REFUSED
    assert values_of([LIMIT], b"key=1", strict=True, security_query_params=("key",)) == {"limit": 20}


def test_a_default_is_each_requests_own():
    tags = query("tags", {"type": "array", "items": {"type": "string"}, "default": ["a"]})
    parameters = compiled(operation_with([tags]))
    parameters({}, request_with(b"", {}, []))["tags"].append("b")
    assert parameters({}, request_with(b"", {}, [])) == {"tags": ["a"]}


def test_refusals_say_what_is_wrong_with_which_parameter():
    assert detail_of([LIMIT], b"limit=500") == "limit is 500: must be at most 100"
    assert detail_of([LIMIT], b"limit=abc") == 'limit is "abc": must be an integer'
    assert detail_of([LIMIT, Q]) == "q is required"
    assert detail_of([TAGS], b"tags=1,x") == 'tags[1] is "x": must be an integer'


def test_unknown_parameters_are_named():
    assert detail_of([LIMIT], b"foo=1", strict=True) == "Unknown query parameter: foo"
    assert detail_of([LIMIT], b"b=1&%0Aa=2", strict=True) == r"Unknown query parameters: \u000aa, b"
    many = "&".join(f"a{number}" for number in range(9)).encode()
    assert detail_of([LIMIT], many, strict=True) == "Unknown query parameters: a0, a1, a2, a3, a4, …"
    with pytest.raises(ExtraParameterProblem):
        compiled(operation_with([]), strict=True)({}, request_with(b"a=1", {}, []))


def test_the_first_refusal_is_connexions_first():
    header = {"name": "X", "in": "header", "required": True, "schema": {"type": "string"}}
    everything = [header, Q, LIMIT]
    assert detail_of(everything, b"foo=1&limit=0", strict=True) == "Unknown query parameter: foo"
    assert detail_of(everything, b"limit=0", strict=True) == "q is required"
    assert detail_of(everything, b"limit=0&q=x", strict=True) == "limit is 0: must be at least 1"
    assert detail_of(everything, b"limit=1&q=x", strict=True) == "X is required"


def test_what_was_not_checked_never_gets_to_a_controller():
    """Connexion checks another reading of such bytes than the one that it hands on."""
    text = query("größe", {"type": "string", "maxLength": 3})
    operation = operation_with([text])
    parameters = compiled(operation)
    request = request_with("größe=much too long".encode(), {}, [])
    assert by_connexion(operation, request) == {"gre": "much too long"}
    assert by_us(parameters, request) == REFUSED
    assert by_us(parameters, request_with("größe=ö".encode(), {}, [])) == {"gre": "ö"}
    assert values_of([query("q", {"type": "string", "maxLength": 4})], "q=öö".encode()) == {"q": "öö"}
    assert values_of([query("q", {"type": "string", "maxLength": 3})], "q=öö".encode()) == REFUSED


def test_bytes_that_are_no_text_are_refused_instead_of_failing():
    assert by_us(compiled(operation_with([])), request_with(b"a=\xff", {}, [])) == REFUSED
    assert values_of([query("a", {"type": "string"})], b"a=%ff") == {"a": "%FF"}


UNCOVERED: list[list[Described]] = [
    [query("a", {"type": "object"}, style="deepObject")],
    [query("a", {"type": "object"})],
    [query("a", {})],
    [query("a", {"type": "array", "items": {}})],
    [query("a", {"type": "array", "items": {"type": "array", "items": {"type": "string"}}})],
    [{"name": "a", "in": "query", "content": {"application/json": {"schema": {"type": "string"}}}}],
    [query("a", {"type": "string"}, **{"x-nullable": True})],
    [query("a-b", {"type": "string"}), query("ab", {"type": "string"})],
    [query("a", {"type": "string"}), {**query("a", {"type": "string"}), "in": "path", "required": True}],
    [query("1", {"type": "string"})],
    [{"name": "a-b", "in": "path", "required": True, "schema": {"type": "string", "nullable": True}}],
]


@pytest.mark.parametrize("parameters", UNCOVERED, ids=repr)
def test_what_is_not_certainly_understood_is_left_to_connexion(parameters: list[Described]):
    assert compiled(operation_with(parameters, path="/{a}/{a-b}")) is None


def test_a_uri_parser_of_the_users_own_is_left_to_connexion():
    class Own(OpenAPIURIParser):
        pass

    assert compiled(operation_with([LIMIT], uri_parser_class=Own)) is None


def test_parameters_that_the_spec_repeats_are_checked_once():
    operation = operation_with([LIMIT])
    operation._parameters += [dict(LIMIT)]
    assert compiled(operation)({}, request_with(b"limit=5", {}, [])) == {"limit": 5}


# Random declarations and requests, through both

TEXTS = [
    "",
    "1",
    "-3",
    "1.0",
    "1e2",
    "nan",
    "1_0",
    " 2 ",
    "٣",
    "true",
    "FALSE",
    "null",
    " None ",
    "a",
    "1,2",
    "1|x",
]

ODD = [b"%ff", b"%C3%A9", b"%", b"%zz", b"+", b"%2B", b"a=b", b"\xc3\xa9", b"%00", b";", b"\xa05", b"\xff"]

NAMES = ["a", "b", "c-d", "e[]", "a[x]", "F"]

TYPES = st.one_of(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["integer", "number"])},
        optional={"minimum": st.integers(-2, 2), "enum": st.just([1, 2, 10]), "nullable": st.booleans()},
    ),
    st.fixed_dictionaries({"type": st.just("boolean")}, optional={"nullable": st.booleans()}),
    st.fixed_dictionaries(
        {"type": st.just("string")},
        optional={
            "maxLength": st.integers(0, 3),
            "pattern": st.just("^[a-z]*$"),
            "format": st.sampled_from(["date", "binary"]),
            "nullable": st.booleans(),
        },
    ),
)

ARRAYS = st.fixed_dictionaries(
    {"type": st.just("array"), "items": TYPES},
    optional={"maxItems": st.integers(0, 3), "uniqueItems": st.booleans(), "nullable": st.booleans()},
)

DEFAULTS = {"integer": 1, "number": 2, "boolean": True, "string": "a", "array": []}


@st.composite
def declarations(draw: Any) -> list[Described]:
    declared = []
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True)):
        schema = dict(draw(TYPES | ARRAYS))
        if draw(st.booleans()) and schema.keys() <= {"type", "items", "nullable", "uniqueItems"}:
            schema["default"] = DEFAULTS[schema["type"]]
        options = st.fixed_dictionaries(
            {},
            optional={
                "required": st.booleans(),
                "explode": st.booleans(),
                "style": st.sampled_from(["form", "spaceDelimited", "pipeDelimited"]),
            },
        )
        declared.append(query(name, schema, **draw(options)))
    return declared


@st.composite
def query_strings(draw: Any) -> bytes:
    texts = st.sampled_from(TEXTS).map(lambda text: urllib.parse.quote(text).encode()) | st.sampled_from(ODD)
    names = st.sampled_from([*NAMES, "", "z"]).map(lambda name: name.encode()) | st.sampled_from(
        [b"%61", b"%ff"]
    )
    pairs = draw(st.lists(st.tuples(names, st.sampled_from([b"=", b"=", b"=", b""]), texts), max_size=5))
    return b"&".join(name + sign + text for name, sign, text in pairs)


@settings(max_examples=120, deadline=None)
@given(declarations(), query_strings(), st.booleans())
@example([query("a", {"type": "integer"})], b"a=\xa05", False)
@example([query("a", {"type": "string"})], b"&&a&=", True)
def test_any_query_gets_connexions_verdict_and_values(
    declared: list[Described], query_string: bytes, strict: bool
):
    operation = operation_with(declared)
    request = request_with(query_string, {}, [])
    ours = by_us(compiled(operation, strict=strict), request)
    event("refused" if ours == REFUSED else "accepted")
    try:
        theirs = by_connexion(operation, request, strict=strict)
    except ValueError:  # one reading was checked and the other was not, or is no UTF-8
        theirs = REFUSED
    if query_string.isascii() and b"%ff" not in query_string:
        assert same(ours, theirs)
    else:
        assert ours == REFUSED or same(ours, theirs)


SWAGGER_TYPES = st.fixed_dictionaries(
    {"type": st.sampled_from(["integer", "number", "string", "boolean"])},
    optional={"x-nullable": st.booleans(), "required": st.booleans()},
)


@settings(max_examples=60, deadline=None)
@given(
    SWAGGER_TYPES,
    st.sampled_from(["csv", "pipes", "multi", None]),
    st.sampled_from([None, FirstValueURIParser, AlwaysMultiURIParser]),
    query_strings(),
)
def test_any_query_of_swagger_2_gets_connexions_verdict_and_values(
    described: Described, collection: str | None, parser: Any, query_string: bytes
):
    declared = {"name": "a", "in": "query", **described}
    if collection:
        items = {"type": described["type"]}
        declared.update(type="array", items=items, collectionFormat=collection)
    operation = operation_with([declared], kind=Swagger2Operation, uri_parser_class=parser)
    request = request_with(query_string, {}, [])
    ours = by_us(compiled(operation), request)
    if query_string.isascii() and b"%ff" not in query_string:
        assert same(ours, by_connexion(operation, request))


PATH_KINDS = {"integer": int, "number": float}


@settings(max_examples=60, deadline=None)
@given(
    TYPES | ARRAYS,
    st.sampled_from(["a", "a-b"]),
    st.sampled_from(TEXTS),
    st.sampled_from(["simple", "label"]),
)
def test_any_path_gets_connexions_verdict_and_values(schema: Described, name: str, text: str, style: str):
    try:
        value = PATH_KINDS.get(schema["type"], str)(text)
    except ValueError:
        return  # no route has it
    declared = {"name": name, "in": "path", "required": True, "schema": schema, "style": style}
    operation = operation_with([declared], path=f"/{{{name}}}")
    parameters = compiled(operation)
    if parameters is None:
        assert name == "a-b"
        return
    request = request_with(b"", {name.replace("-", "_"): value}, [])
    assert same(by_us(parameters, request), by_connexion(operation, request))


@settings(max_examples=60, deadline=None)
@given(
    TYPES | ARRAYS, st.sampled_from(["header", "cookie"]), st.booleans(), st.none() | st.sampled_from(TEXTS)
)
def test_any_header_and_cookie_gets_connexions_verdict(
    schema: Described, place: str, required: bool, text: str | None
):
    declared = {"name": "X-It", "in": place, "required": required, "schema": schema}
    operation = operation_with([declared])
    name, value = ("X-It", text) if place == "header" else ("Cookie", f"X-It={text}")
    sent = [] if text is None or not text.isascii() else [(name, value)]
    request = request_with(b"", {}, sent)
    assert by_us(compiled(operation), request) == by_connexion(operation, request)
