"""The parameters of one operation, compiled once: from the query string to the controller's arguments.

Owns what Connexion's URI parser, ParameterValidator and parameter decorator do together, with their verdicts and
values. Must not know routing: it is given path parameters as the router converted them. Connexion reads a query
string twice, once to check it and once for the controller. Where bytes that are no UTF-8, or not percent-encoded,
make the two differ, both readings must be valid here: nothing that was not checked gets to a controller.
"""

import re
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import unquote

from connexion.decorators.parameter import _get_query_defaults, _get_val_from_param
from connexion.exceptions import BadRequestProblem, ExtraParameterProblem
from connexion.uri_parsing import (
    AlwaysMultiURIParser,
    FirstValueURIParser,
    OpenAPIURIParser,
    Swagger2URIParser,
)
from connexion.utils import boolean, is_null, is_nullable
from starlette.datastructures import QueryParams
from starlette.requests import HTTPConnection
from werkzeug.datastructures import Headers
from werkzeug.sansio.request import Request as WerkzeugRequest

from swagger_server.serving.faults import printable
from swagger_server.serving.messages import Request
from swagger_server.serving.schemas import CompiledSchema, compile_schema
from swagger_server.serving.translate import Scope

Description = Mapping[str, Any]
Coerce = Callable[[Any], Any]
Query = Mapping[str, list[str]]


def compile_parameters(
    operation: Any,
    *,
    strict: bool = False,
    security_query_params: Iterable[str] = (),
    arguments: Container[str],
    argument_name: Callable[[str], str] = lambda name: name,
) -> "Parameters | None":
    """The parameters of a Connexion operation, or None if one of them is not certainly understood as Connexion does.

    `strict` refuses query parameters that are neither in the spec nor in `security_query_params`. `arguments` are
    those of the controller, and `argument_name` gives the argument for a parameter's name: a query parameter
    that the controller does not take is checked and left out.
    """
    try:
        return _Compiler(operation, arguments, argument_name).parameters(strict, security_query_params)
    except _Uncovered:
        return None


class Parameters:
    """The parameters of an operation. Calling it raises BadRequestProblem with what is wrong first."""

    def __init__(
        self,
        query: "list[_Parameter]",
        path: "list[_Parameter]",
        others: "list[_Other]",
        known: frozenset[str] | None,
    ) -> None:
        self._query = query
        self._path = path
        self._others = others
        self._known = known

    def __call__(self, path_values: Mapping[str, Any], request: Request) -> dict[str, Any]:
        """The values of path and query by the names of the controller's arguments; the dict is the caller's."""
        query_string: bytes = request.scope["query_string"]
        query = _read(query_string) if query_string else _NOTHING
        if query is None:
            values = self._read_twice(query_string)
        else:
            if self._known is not None and not self._known.issuperset(query):
                _refuse_unknown(self._known, query)
            values = self._query_values(query)
        for parameter in self._path:
            parameter.add(path_values.get(parameter.key), values)
        if self._others:
            self._check_others(request.scope)
        return values

    def _query_values(self, query: Query) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for parameter in self._query:
            parameter.add(query.get(parameter.key), values)
        return values

    def _read_twice(self, query_string: bytes) -> dict[str, Any]:
        checked = _read_as_starlette(query_string)
        if self._known is not None and not self._known.issuperset(checked):
            _refuse_unknown(self._known, checked)
        self._query_values(checked)
        return self._query_values(_read_as_werkzeug(query_string))

    def _check_others(self, scope: Scope) -> None:
        connection = HTTPConnection(scope)
        for parameter in self._others:
            sent: Mapping[str, str] = connection.headers if parameter.is_header else connection.cookies
            parameter.check(sent.get(parameter.name))


# Reading the query string

_NOTHING: Query = {}


def _read(query_string: bytes) -> Query | None:
    """As parse_qsl does, blank values kept; None for what is not UTF-8 in percent-encoded ASCII."""
    if not query_string.isascii():
        return None
    query: dict[str, list[str]] = {}
    try:
        for pair in query_string.decode("ascii").split("&"):
            if not pair:
                continue
            name, _, value = pair.partition("=")
            if "+" in pair or "%" in pair:
                name, value = _unquoted(name), _unquoted(value)
            if name in query:
                query[name].append(value)
            else:
                query[name] = [value]
    except UnicodeDecodeError:
        return None
    return query


def _unquoted(text: str) -> str:
    return unquote(text.replace("+", " "), errors="strict")


def _read_as_starlette(query_string: bytes) -> Query:
    params = QueryParams(query_string)
    return {name: params.getlist(name) for name in params}


def _read_as_werkzeug(query_string: bytes) -> Query:
    try:
        args = WerkzeugRequest("GET", "http", None, "", "/", query_string, Headers(), None).args
    except UnicodeDecodeError:
        raise BadRequestProblem(detail="The query string is not valid UTF-8.") from None
    return {name: args.getlist(name) for name in args}


_MOST_NAMED = 5


def _refuse_unknown(known: frozenset[str], query: Query) -> NoReturn:
    unknown = sorted(name for name in query if name not in known)
    named = ", ".join(printable(name, 60) for name in unknown[:_MOST_NAMED])
    more = ", …" if len(unknown) > _MOST_NAMED else ""
    problem = ExtraParameterProblem(param_type="query", extra_params=unknown)
    problem.detail = f"Unknown query parameter{'s' if len(unknown) > 1 else ''}: {named}{more}"
    raise problem


# One parameter


@dataclass(frozen=True, slots=True)
class _Check:
    """What a value must be; None stands for one that is not there."""

    name: str
    schema: CompiledSchema
    is_required: bool
    is_nullable: bool

    def __call__(self, value: Any) -> None:
        if value is None:
            if self.is_required and not self.is_nullable:
                raise BadRequestProblem(detail=f"{self.name} is required")
        else:
            fault = self.schema.fault(value)
            if fault is not None:
                raise BadRequestProblem(detail=fault.text)


@dataclass(frozen=True, slots=True)
class _Other:
    """A header or a cookie: checked as the text that it is, and not passed on."""

    name: str
    is_header: bool
    checked: _Check

    def check(self, text: str | None) -> None:
        if not (self.checked.is_nullable and is_null(text)):
            self.checked(text)


@dataclass(frozen=True, slots=True)
class _Parameter:
    """A parameter of the path or the query."""

    key: str
    argument: str | None
    """None if the controller does not take it."""
    coerce: Coerce
    check: _Check | None
    """None for a part of the path that the spec says nothing of."""
    default: Callable[[], Any] | None

    def add(self, given: Any, values: dict[str, Any]) -> None:
        """Check what was given, None for nothing, and add it or the default to the controller's values."""
        value = None if given is None else self.coerce(given)
        if self.check is not None:
            self.check(value)
        if self.argument is None:
            return
        if given is not None:
            values[self.argument] = value
        elif self.default is not None:
            values[self.argument] = self.default()


# Compiling


class _Uncovered(Exception):
    """Left to Connexion."""


class _Compiler:
    def __init__(
        self, operation: Any, arguments: Container[str], argument_name: Callable[[str], str]
    ) -> None:
        self._parser: Any = operation.uri_parser_class
        self._described = _described(operation.parameters, self._parser)
        self._parts = re.findall(r"{([^}]*)}", operation.path)
        self._arguments = arguments
        self._argument_name = argument_name
        self._defaults = _get_query_defaults({each["name"]: each for each in self._of("query")})

    def parameters(self, strict: bool, security_query_params: Iterable[str]) -> Parameters:
        query = [self._query(each) for each in self._of("query")]
        path = [self._path(each) for each in self._of("path")]
        path += [self._undescribed(part) for part in self._parts_not_described()]
        taken = [each.argument for each in (*query, *path) if each.argument is not None]
        if len(taken) > len(set(taken)):
            raise _Uncovered
        others = [_other(each) for each in (*self._of("header"), *self._of("cookie"))]
        known = frozenset(each["name"] for each in self._of("query")) | frozenset(security_query_params)
        return Parameters(query, path, others, known if strict else None)

    def _of(self, place: str) -> list[Description]:
        return [each for each in self._described if each["in"] == place]

    def _parts_not_described(self) -> list[str]:
        # Routers and Flask know a part by its name with underscores, where Connexion's checks then find it.
        routed = {_routed(each["name"]) for each in self._of("path")}
        return [part for part in map(_routed, self._parts) if part not in routed]

    def _query(self, described: Description) -> _Parameter:
        name = described["name"]
        argument = self._argument_name(name)
        coerce = self._coerce(described, "query")
        default = self._default(described) if name in self._defaults else None
        return _Parameter(
            name, argument if argument in self._arguments else None, coerce, _check(described), default
        )

    def _path(self, described: Description) -> _Parameter:
        key = _routed(described["name"])
        coerce = self._coerce(described, "path")
        if key != described["name"]:
            # The URI parser does not find one whose name is not the router's: it stays as it is.
            if is_nullable(described):
                raise _Uncovered
            coerce = _unchanged
        return _Parameter(key, self._argument_name(key), coerce, _check(described), None)

    def _undescribed(self, part: str) -> _Parameter:
        return _Parameter(part, self._argument_name(part), _unchanged, None, None)

    def _coerce(self, described: Description, place: str) -> Coerce:
        schema = _schema(described)
        if schema["type"] == "array":
            return _array(schema["items"]["type"], self._splitter(described, place))
        scalar = _scalar(schema["type"], is_nullable(schema))
        return scalar if place == "path" else lambda values: scalar(values[-1])

    def _splitter(self, described: Description, place: str) -> Callable[[Any], list[str]]:
        join, split = self._parser._resolve_param_duplicates, self._parser._split
        if place == "path":
            return lambda value: split(join([value], described, place), described, place)
        return lambda values: split(join(values, described, place), described, place)

    def _default(self, described: Description) -> Callable[[], Any]:
        try:
            value = _get_val_from_param(self._defaults[described["name"]], described)
        except (ValueError, TypeError, KeyError):
            raise _Uncovered from None
        return (lambda: list(value)) if isinstance(value, list) else lambda: value


def _unchanged(value: Any) -> Any:
    return value


def _routed(name: str) -> str:
    return name.replace("-", "_")


_CONVERT: Mapping[str, Coerce] = {"integer": int, "number": float, "boolean": boolean}


def _scalar(kind: str, allows_null: bool) -> Coerce:
    """What cannot be converted stays a text, for the schema to refuse."""
    convert = _CONVERT.get(kind, _unchanged)

    def coerce(text: Any) -> Any:
        if allows_null and is_null(text):
            return None
        try:
            return convert(text)
        except ValueError:
            return text

    return coerce


def _array(kind: str, split: Callable[[Any], list[str]]) -> Coerce:
    scalar = _scalar(kind, allows_null=False)
    return lambda given: [scalar(text) for text in split(given)]


def _other(described: Description) -> _Other:
    return _Other(described["name"], described["in"] == "header", _check(described))


def _check(described: Description) -> _Check:
    name = described["name"]
    schema = compile_schema(_schema(described), parameter=name)
    return _Check(name, schema, bool(described.get("required")), bool(is_nullable(described)))


def _schema(described: Description) -> dict[str, Any]:
    """In Swagger 2, the parameter itself without what is no part of a schema, or nothing of one for a text."""
    schema: dict[str, Any] = described.get("schema", described)
    if schema is described:
        return {key: value for key, value in described.items() if key not in ("name", "in", "required")}
    return schema


# What is covered

_PARSERS = (OpenAPIURIParser, Swagger2URIParser, FirstValueURIParser, AlwaysMultiURIParser)

_KINDS = frozenset({"string", "integer", "number", "boolean"})


def _described(parameters: Iterable[Description], parser: Any) -> list[Description]:
    """Each once: Connexion adds those of the path to those of the operation whenever it reads the spec."""
    if parser not in _PARSERS:
        raise _Uncovered
    once: list[Description] = []
    for described in parameters:
        if described not in once:
            once.append(described)
    names = [each["name"] for each in once if each["in"] in parser.parsable_parameters]
    headers = [(each["name"], each["in"]) for each in once]
    if len(names) > len(set(names)) or len(headers) > len(set(headers)):
        raise _Uncovered
    if not all(_is_covered(each, parser) for each in once):
        raise _Uncovered
    return once


def _is_covered(described: Description, parser: Any) -> bool:
    if (
        "content" in described
        or not described["name"]
        or ("schema" in described) != (parser is OpenAPIURIParser)
    ):
        return False
    if described["in"] not in ("path", "query"):
        return True
    schema = _schema(described)
    return (
        _is_simple(schema)
        and described.get("style") != "deepObject"
        and bool(is_nullable(schema)) == bool(is_nullable(described))
        # Connexion makes an argument's name in two steps, which for other beginnings differ.
        and re.match("[A-Za-z_]", described["name"]) is not None
    )


def _is_simple(schema: Description) -> bool:
    """Of one type that is written as one text, or an array of such."""
    if "$ref" in schema:
        return False
    if schema.get("type") == "array":
        items = schema.get("items")
        return isinstance(items, dict) and "$ref" not in items and items.get("type") in _KINDS
    return schema.get("type") in _KINDS
