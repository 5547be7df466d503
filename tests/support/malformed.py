"""Requests that are wrong, of many kinds, for the operations of an OpenAPI spec: as bytes, since no client makes them.

All are wrong by the spec, by JSON or by HTTP: none may be answered with anything but a 4xx. The same seed makes them
again.
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

SQL = "'; DROP TABLE site; DELETE FROM country; SELECT pg_sleep(9); --"
KEY = "sws_" + "A" * 43

_METHODS = ("get", "post", "put", "patch", "delete")
_NUMBERS = ("integer", "number")


@dataclass(frozen=True)
class Operation:
    """What a request for it looks like."""

    method: str
    path: str
    parameters: list[Mapping[str, Any]]
    bodies: Mapping[str, Any]
    """By the type of their content: an example, and the schema."""
    secured: bool

    @property
    def json_body(self) -> Any:
        """An example of its JSON body."""
        found = self.bodies.get("application/json") or self.bodies.get("application/merge-patch+json")
        return found[0] if found else None

    @property
    def kind(self) -> str:
        """The type of its body, JSON where it takes that."""
        return next((each for each in self.bodies if "json" in each), next(iter(self.bodies), ""))


@dataclass
class Parts:
    """A request in the making."""

    method: str
    target: str
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    version: str = "HTTP/1.1"

    def to_bytes(self) -> bytes:
        lines = [
            f"{self.method} {self.target} {self.version}",
            *(f"{k}: {v}" for k, v in self.headers),
            "",
            "",
        ]
        return "\r\n".join(lines).encode("latin-1") + self.body


@dataclass(frozen=True)
class Malformed:
    """A request, and what is wrong with it."""

    kind: str
    operation: str
    sent: bytes


def operations(spec: Mapping[str, Any], base: str) -> list[Operation]:
    """All operations of a spec; `base` is where they are."""
    return list(_operations(spec, base))


def _operations(spec: Mapping[str, Any], base: str) -> Iterator[Operation]:
    for path, item in spec["paths"].items():
        for method in _METHODS:
            if method not in item:
                continue
            described = item[method]
            parameters = [*item.get("parameters", []), *described.get("parameters", [])]
            content = _resolved(spec, described.get("requestBody", {})).get("content", {})
            yield Operation(
                method.upper(),
                base + path,
                [_resolved(spec, each) for each in parameters],
                {kind: _body(spec, media) for kind, media in content.items()},
                bool(described.get("security", spec.get("security"))),
            )


def _resolved(spec: Mapping[str, Any], part: Any) -> Any:
    while isinstance(part, Mapping) and "$ref" in part:
        name, part = part["$ref"], spec
        for step in name.removeprefix("#/").split("/"):
            part = part[step]
    return part


def _body(spec: Mapping[str, Any], media: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    schema = _resolved(spec, media.get("schema", {}))
    examples = [_resolved(spec, each).get("value") for each in media.get("examples", {}).values()]
    example = next((each for each in (media.get("example"), schema.get("example"), *examples) if each), {})
    return example, schema


class Maker:
    """Makes malformed requests for `operations`; `host` and `key` are the service's."""

    def __init__(
        self, operations: list[Operation], host: str, key: str, max_body: int, seed: int = 6
    ) -> None:
        self._random = random.Random(seed)
        self._operations = operations
        self._host = host
        self._key = key
        self._max_body = max_body

    def make(self, count: int) -> Iterator[Malformed]:
        """So many, each kind as often as any other; kinds that no operation can have are left out."""
        kinds = [
            (name, make, fitting)
            for wanted, group in _KINDS
            if (fitting := [each for each in self._operations if wanted(each)])
            for name, make in group.items()
        ]
        for number in range(count):
            name, make, fitting = kinds[number % len(kinds)]
            operation = self._random.choice(fitting)
            yield Malformed(name, f"{operation.method} {operation.path}", make(self, operation))

    # What is right, to be made wrong

    def right(self, operation: Operation, *query: str, **values: str) -> Parts:
        """A request as the spec wants it, but for the parameters given."""
        target, asked = operation.path, list(query)
        for each in operation.parameters:
            name = each["name"]
            value = values.pop(name, None)
            if each["in"] == "path":
                target = target.replace(f"{{{name}}}", value or quote(str(_example(each)), safe=""))
            elif each["in"] == "query" and (value is not None or each.get("required")):
                asked.append(f"{name}={value if value is not None else quote(str(_example(each)))}")
        headers = [("Host", self._host), ("Connection", "close")]
        if operation.secured:
            headers.append(("X-API-Key", self._key))
        return Parts(operation.method, target + ("?" + "&".join(asked) if asked else ""), headers)

    def with_body(self, operation: Operation, body: bytes, kind: str | None = None) -> bytes:
        parts = self.right(operation)
        kind = operation.kind if kind is None else kind
        if kind:
            parts.headers.append(("Content-Type", kind))
        parts.headers.append(("Content-Length", str(len(body))))
        parts.body = body
        return parts.to_bytes()

    def json(self, operation: Operation, change: Callable[[dict[str, Any]], object]) -> bytes:
        """The example of the body, changed."""
        body = json.loads(json.dumps(operation.json_body))
        change(body)
        return self.with_body(operation, json.dumps(body).encode())

    def text(self, operation: Operation, old: str, new: str) -> bytes:
        """The example with a member more, in whose value `old` (which is JSON) is replaced by `new` (which is not)."""
        name = self._name(operation)
        text = json.dumps({**operation.json_body, name: "@@"})
        return self.with_body(operation, text.replace('"@@"', old).replace(old, new, 1).encode())

    def _name(self, operation: Operation) -> str:
        return self._random.choice(sorted(operation.json_body) or ["name"])

    def _parameter(self, operation: Operation, *kinds: str) -> Mapping[str, Any] | None:
        found = [
            each for each in operation.parameters if each["in"] in ("query", "path") and _type(each) in kinds
        ]
        return self._random.choice(found) if found else None

    def _wrong_number(self, operation: Operation, values: list[str]) -> bytes:
        parameter = self._parameter(operation, *_NUMBERS)
        value = self._random.choice(values)
        if parameter is None:
            return self.right(operation, f"no_such={value}").to_bytes()
        return self.right(operation, **{parameter["name"]: value}).to_bytes()

    # Bodies

    def truncated(self, operation: Operation) -> bytes:
        text = json.dumps(operation.json_body).encode()
        return self.with_body(
            operation, text[: self._random.randrange(1, max(2, len(text)))] if len(text) > 2 else b"{"
        )

    def not_utf8(self, operation: Operation) -> bytes:
        wrong = self._random.choice([b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"caf\xe9", b"\xf5\x80\x80\x80"])
        text = json.dumps({**operation.json_body, self._name(operation): "@@"}).encode()
        return self.with_body(operation, text.replace(b"@@", wrong))

    def other_encoding(self, operation: Operation) -> bytes:
        encoding = self._random.choice(["utf-16", "utf-32", "utf-16-le"])
        return self.with_body(operation, json.dumps(operation.json_body).encode(encoding))

    def nul_byte(self, operation: Operation) -> bytes:
        return self.text(operation, '"nul"', '"nu\0l"')

    def nul_escape(self, operation: Operation) -> bytes:
        return self.text(operation, '"nul"', '"nu\\u0000l"')

    def surrogate(self, operation: Operation) -> bytes:
        half = self._random.choice(["\\ud800", "\\udfff", "\\ude00\\ud83d"])
        return self.text(operation, '"half"', f'"{half}"')

    def huge_number(self, operation: Operation) -> bytes:
        number = self._random.choice(
            ["1e400", "-1e999999", "9" * 5000, "-" + "9" * 400, "9" * 400 + ".5", "1E+400"]
        )
        return self.text(operation, "0", number)

    def no_number(self, operation: Operation) -> bytes:
        return self.text(
            operation, "0", self._random.choice(["NaN", "Infinity", "-Infinity", "0x10", "01", "+1", ".5"])
        )

    def deep(self, operation: Operation) -> bytes:
        depth = self._random.choice([40, 500, 5000, self._max_body // 8])
        opening, closing = self._random.choice([("[", "]"), ('{"a":', "}")])
        return self.text(operation, "0", opening * depth + "1" + closing * depth)

    def deep_and_open(self, operation: Operation) -> bytes:
        return self.with_body(operation, b"[" * self._random.choice([1000, self._max_body // 2]))

    def duplicate_key(self, operation: Operation) -> bytes:
        text = json.dumps(operation.json_body)[1:]
        name = self._name(operation)
        value = json.dumps(operation.json_body.get(name))
        separator = ", " if operation.json_body else f', "{name}": 1'
        return self.with_body(operation, f'{{"{name}": {value}{separator}{text}'.encode())

    def no_object(self, operation: Operation) -> bytes:
        return self.with_body(
            operation, self._random.choice([b"[]", b'"text"', b"5", b"true", b"[[{}]]", b"\xef\xbb\xbf{}"])
        )

    def empty_body(self, operation: Operation) -> bytes:
        return self.with_body(operation, self._random.choice([b"", b" ", b"\r\n", b"null null"]))

    def no_json(self, operation: Operation) -> bytes:
        texts = [
            b"{'a': 1}",
            b"{a: 1}",
            b'{"a": 1,}',
            b"<a/>",
            b"a=1&b=2",
            b'{"a": 1} {}',
            b"// c\n{}",
            b'{"a"}',
        ]
        return self.with_body(operation, self._random.choice(texts))

    def sql_in_every_field(self, operation: Operation) -> bytes:
        return self.json(
            operation, lambda body: body.update({name: [{"$": SQL}] for name in body or ("name",)})
        )

    def sql_in_a_field_too_long(self, operation: Operation) -> bytes:
        return self.json(operation, lambda body: body.update({self._name(operation): SQL * 500}))

    def sql_as_a_field(self, operation: Operation) -> bytes:
        return self.json(operation, lambda body: body.update({f'x" {SQL}': 1}))

    def wrong_type(self, operation: Operation) -> bytes:
        wrong = self._random.choice([{"a": [1]}, [{"a": 1}], -1.5e300])
        return self.json(operation, lambda body: body.update(dict.fromkeys(body or ("name",), wrong)))

    def content_type(self, operation: Operation) -> bytes:
        kinds = [
            "text/plain",
            "application/xml",
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "*/*",
            "json",
        ]
        kinds += [
            "application/x-www-form-urlencoded",
            "application/javascript",
            "application/",
            "/",
            ";",
            SQL,
        ]
        return self.with_body(operation, json.dumps(operation.json_body).encode(), self._random.choice(kinds))

    def too_large(self, operation: Operation) -> bytes:
        return self.with_body(operation, json.dumps("x" * self._max_body).encode())

    def body_cut_off(self, operation: Operation) -> bytes:
        sent = self.with_body(operation, json.dumps(operation.json_body).encode() + b" " * 20)
        return sent[: -self._random.randrange(1, 20)]

    # Addresses

    def unknown_parameter(self, operation: Operation) -> bytes:
        return self.right(
            operation, f"{quote(self._random.choice(['x', SQL, 'limit[]', '__proto__']))}=1"
        ).to_bytes()

    def query_not_utf8(self, operation: Operation) -> bytes:
        wrong = self._random.choice(["%ff", "%c0%80", "%ed%a0%80", "%e9", "%", "%zz", "%u0041"])
        return self.right(operation, f"x{wrong}={wrong}").to_bytes()

    def nul_in_path(self, operation: Operation) -> bytes:
        parts = self.right(operation, "no_such=%00")
        return Parts(parts.method, parts.target.replace("?", "%00?", 1), parts.headers).to_bytes()

    def sql_in_number(self, operation: Operation) -> bytes:
        return self._wrong_number(
            operation, [quote(SQL), "1%20OR%201=1", "1;SELECT%201", "1'", "(SELECT%201)"]
        )

    def huge_in_number(self, operation: Operation) -> bytes:
        return self._wrong_number(operation, ["9" * 3000, "1e400", "-1e400", "9" * 19 + "e1"])

    def no_number_in_number(self, operation: Operation) -> bytes:
        return self._wrong_number(operation, ["nan", "NaN", "inf", "-Infinity", "0x1", "", "1%00", "1,0"])

    def too_long_text(self, operation: Operation) -> bytes:
        return self.right(operation, f"no_such={'a' * 3000}").to_bytes()

    def nowhere(self, operation: Operation) -> bytes:
        more = self._random.choice(
            [f"/{quote(SQL, safe='')}", "/../../etc/passwd", "/%2e%2e/x", "/%ff", "//x//", "/;a=b"]
        )
        return Parts(
            operation.method, operation.path + "/nowhere" + more, self.right(operation).headers
        ).to_bytes()

    def wrong_method(self, operation: Operation) -> bytes:
        parts = self.right(operation, "no_such=1")
        parts.method = self._random.choice(["PROPFIND", "TRACE", "SEARCH", "LOCK", "M-SEARCH"])
        return parts.to_bytes()

    def wrong_key(self, operation: Operation) -> bytes:
        parts = self.right(operation)
        wrong = self._random.choice([KEY, "x" * 4000, SQL, "", "\xff\xfe", "Bearer", "sws_\xa0"])
        parts.headers = [pair for pair in parts.headers if pair[0] != "X-API-Key"] + [("X-API-Key", wrong)]
        return parts.to_bytes()

    def wrong_token(self, operation: Operation) -> bytes:
        parts = self.right(operation)
        wrong = [
            "Bearer",
            "Bearer a.b.c",
            f"Bearer {'x' * 4000}",
            "Bearer eyJhbGciOiJub25lIn0.e30.",
            "Basic !!",
            SQL,
        ]
        parts.headers = [pair for pair in parts.headers if pair[0] != "X-API-Key"]
        parts.headers.append(("Authorization", self._random.choice(wrong)))
        return parts.to_bytes()

    # HTTP itself

    def _post(
        self, *headers: str, body: bytes = b"", target: str = "/v1/nowhere", method: str = "POST"
    ) -> bytes:
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._host}", "Connection: close", *headers, "", ""]
        return "\r\n".join(lines).encode("latin-1") + body

    def length_and_chunks(self, _: Operation) -> bytes:
        smuggled = b"0\r\n\r\nGET /v1/continents HTTP/1.1\r\nHost: smuggled\r\n\r\n"
        lines = [f"Content-Length: {self._random.choice([4, len(smuggled)])}", "Transfer-Encoding: chunked"]
        self._random.shuffle(lines)
        return self._post(*lines, body=smuggled)

    def two_lengths(self, _: Operation) -> bytes:
        second = self._random.choice(["Content-Length: 45", "Content-Length: 0", "content-length : 1"])
        return self._post(
            "Content-Length: 2", second, body=b"{}GET /v1/continents HTTP/1.1\r\nHost: smuggled\r\n\r\n"
        )

    def no_length(self, _: Operation) -> bytes:
        wrong = self._random.choice(["-1", "+2", "2, 3", "0x2", "two", "2 ", "9" * 30, "1_0", "\xb2", "2;2"])
        wrong = "2 3" if wrong == "2 " else wrong
        return self._post(f"Content-Length: {wrong}", body=b"{}")

    def no_encoding(self, _: Operation) -> bytes:
        # One that is merely unknown is a 501 by HTTP.
        wrong = self._random.choice(["chunked, identity", "chunked, gzip", "\x0bchunked"])
        return self._post(f"Transfer-Encoding: {wrong}", body=b"0\r\n\r\n")

    def no_chunk(self, _: Operation) -> bytes:
        wrong = [
            b"zz\r\n",
            b"-1\r\n{}\r\n",
            b"2\r\n{}X\r\n0\r\n\r\n",
            b"f" * 20 + b"\r\n{}",
            b"0x2\r\n{}\r\n0\r\n\r\n",
            b"2 2\r\n",
        ]
        return self._post("Transfer-Encoding: chunked", body=self._random.choice(wrong))

    def chunks_cut_off(self, _: Operation) -> bytes:
        return self._post(
            "Transfer-Encoding: chunked", body=self._random.choice([b"5\r\n{", b"2\r\n{}\r\n", b"2", b""])
        )

    def folded(self, _: Operation) -> bytes:
        folds = ["X-A: a\r\n b: c", "X-A: a\r\n\tContent-Length: 5", "Content-Length: 2\r\n 0", " X-A: a"]
        return self._post(self._random.choice(folds), target="/v1/nowhere?x=1", method="GET")

    def no_header(self, _: Operation) -> bytes:
        wrong = [
            "no colon",
            ": no name",
            "X A: b",
            "X-A : b",
            "X(A): b",
            "X-\xe9: b",
            "X-A: \0",
            "X-A: a\rb: c",
            "X\0A: b",
        ]
        return self._post(self._random.choice(wrong), method="GET")

    def no_request_line(self, _: Operation) -> bytes:
        lines = [
            "GET",
            "GET  /v1/nowhere HTTP/1.1",
            "GET /v1/nowhere",
            "G\xcbT / HTTP/1.1",
            "GET / HTTP/9.9",
            "",
        ]
        lines += [
            "GET / HTTP/1.x",
            "GET / http/1.1",
            "/ GET HTTP/1.1",
            "GET /\0 HTTP/1.1",
            "GET /a b HTTP/1.1",
        ]
        lines += ["GET / HTTP/1.1 x", "{}[]() / HTTP/1.1"]
        line = self._random.choice(lines)
        return f"{line}\r\nHost: {self._host}\r\nConnection: close\r\n\r\n".encode("latin-1")

    def other_protocol(self, _: Operation) -> bytes:
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(self._random.randbytes(60))
        others = [
            hello,
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"SSH-2.0-x\r\n",
            b"EHLO x\r\n",
            self._random.randbytes(200),
            b"\0" * 50,
        ]
        return self._random.choice(others)

    def too_long_line(self, _: Operation) -> bytes:
        return self._post(target="/v1/nowhere?x=" + "a" * self._random.choice([9000, 100_000]), method="GET")

    def too_large_header(self, _: Operation) -> bytes:
        return self._post(f"X-A: {'a' * self._random.choice([9000, 100_000])}", method="GET")

    def too_many_headers(self, _: Operation) -> bytes:
        return self._post(
            *[f"X-{number}: a" for number in range(self._random.choice([150, 3000]))], method="GET"
        )

    def head_cut_off(self, _: Operation) -> bytes:
        whole = self._post("X-A: b", method="GET")
        return whole[: self._random.randrange(1, len(whole) - 2)]

    def no_host(self, _: Operation) -> bytes:
        wrong = self._random.choice(["a..b", "a b", "\xff", "[::1", "x" * 300, "@", "a/b", "a,b"])
        return f"GET /v1/nowhere HTTP/1.1\r\nHost: {wrong}\r\nConnection: close\r\n\r\n".encode("latin-1")


def _type(parameter: Mapping[str, Any]) -> str:
    return str(parameter.get("schema", {}).get("type", ""))


def _example(parameter: Mapping[str, Any]) -> Any:
    schema = parameter.get("schema", {})
    found = [parameter.get("example"), schema.get("example"), schema.get("default"), *schema.get("enum", [])]
    return next((each for each in found if each is not None), 1)


def _takes_json(operation: Operation) -> bool:
    return isinstance(operation.json_body, dict)


def _anything(_: Operation) -> bool:
    return True


def _has_numbers(operation: Operation) -> bool:
    return any(_type(each) in _NUMBERS and each["in"] == "query" for each in operation.parameters)


def _group(*makers: Callable[[Maker, Operation], bytes]) -> dict[str, Callable[[Maker, Operation], bytes]]:
    return {make.__name__: make for make in makers}


_HTTP = _group(
    Maker.length_and_chunks,
    Maker.two_lengths,
    Maker.no_length,
    Maker.no_encoding,
    Maker.no_chunk,
    Maker.chunks_cut_off,
    Maker.folded,
    Maker.no_header,
    Maker.no_request_line,
    Maker.other_protocol,
    Maker.too_long_line,
    Maker.too_large_header,
    Maker.too_many_headers,
    Maker.head_cut_off,
    Maker.no_host,
)
CUT_OFF = frozenset({"body_cut_off", "chunks_cut_off", "head_cut_off", "no_chunk", "other_protocol"})
"""The kinds after which the client ends its side of the connection: the server may wait for more."""

_BODIES = _group(
    Maker.truncated,
    Maker.not_utf8,
    Maker.other_encoding,
    Maker.nul_byte,
    Maker.nul_escape,
    Maker.surrogate,
    Maker.huge_number,
    Maker.no_number,
    Maker.deep,
    Maker.deep_and_open,
    Maker.duplicate_key,
    Maker.no_object,
    Maker.empty_body,
    Maker.no_json,
    Maker.sql_in_every_field,
    Maker.sql_in_a_field_too_long,
    Maker.sql_as_a_field,
    Maker.wrong_type,
    Maker.content_type,
    Maker.too_large,
    Maker.body_cut_off,
)

_ADDRESSES = _group(
    Maker.unknown_parameter,
    Maker.query_not_utf8,
    Maker.nul_in_path,
    Maker.too_long_text,
    Maker.nowhere,
    Maker.wrong_method,
)

_KINDS: list[tuple[Callable[[Operation], bool], Mapping[str, Callable[[Maker, Operation], bytes]]]] = [
    (_takes_json, _BODIES),
    (_anything, _ADDRESSES),
    (_has_numbers, _group(Maker.sql_in_number, Maker.huge_in_number, Maker.no_number_in_number)),
    (lambda operation: operation.secured, _group(Maker.wrong_key, Maker.wrong_token)),
    (_anything, _HTTP),
]
