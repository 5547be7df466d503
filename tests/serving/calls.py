"""The hand-picked requests: every feature of the gallery, used well and badly."""

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from tests.serving.gallery.answers import ANSWERS, RAISED
from tests.serving.sides import Call

Part = tuple[str, str | None, bytes, str | None]
"""Of a multipart body: its name, file name, content and type."""


def get(target: str, method: str = "GET", root_path: str = "", **headers: str) -> Call:
    return Call(method, target, _headers(headers), root_path=root_path)


def send(target: str, body: bytes, kind: str | None, method: str = "POST", **headers: str) -> Call:
    typed = _headers(headers) if kind is None else (("Content-Type", kind), *_headers(headers))
    return Call(method, target, typed, body)


def send_json(target: str, value: Any, method: str = "POST") -> Call:
    return send(target, json.dumps(value).encode(), "application/json", method)


def send_form(target: str, *fields: tuple[str, str]) -> Call:
    return send(target, urlencode(fields).encode(), "application/x-www-form-urlencoded")


def send_parts(target: str, *parts: Part, boundary: str = "boundary") -> Call:
    body = b"".join(_part(part, boundary) for part in parts) + f"--{boundary}--\r\n".encode()
    return send(target, body, f"multipart/form-data; boundary={boundary}")


def _part(part: Part, boundary: str) -> bytes:
    name, filename, content, kind = part
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'
    head += f'; filename="{filename}"' if filename is not None else ""
    head += f"\r\nContent-Type: {kind}" if kind is not None else ""
    return head.encode() + b"\r\n\r\n" + content + b"\r\n"


def _headers(headers: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name.replace("_", "-"), value) for name, value in headers.items())


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _gets(base: str, *targets: str) -> Iterator[Call]:
    return (get(base + target) for target in targets)


PATHS = (
    "/path/string/plain",
    "/path/string/a%20b",
    "/path/string/a%2Fb",
    "/path/string/a%252Fb",
    "/path/string/%C3%BC",
    "/path/string/%E2%82%AC%F0%9F%98%80",
    "/path/string/%FF",
    "/path/string/a+b",
    "/path/string/a;b=c",
    "/path/string/..",
    "/path/string/.",
    "/path/string/%2E%2E",
    "/path/string/../no-slash",
    "/path/string/~x!$&'()*,:@",
    "/path/string/%00",
    "/path/string/%0A",
    "/path/string/a%3Fb",
    "/path/string/much-too-long-a-text",
    "/path/string/",
    "/path/string",
    "/path/string/a/b",
    "/path/string/a/",
    "/path/string//a",
    "/path/string/null",
    "/path/string/1",
    "/path/integer/0",
    "/path/integer/12",
    "/path/integer/-3",
    "/path/integer/+3",
    "/path/integer/%2B3",
    "/path/integer/007",
    "/path/integer/1000",
    "/path/integer/1001",
    "/path/integer/1.0",
    "/path/integer/1e2",
    "/path/integer/abc",
    "/path/integer/%D9%A3",
    "/path/integer/123456789012345678901234567890",
    "/path/integer/1_0",
    "/path/integer/",
    "/path/integer/12/",
    "/path/number/1",
    "/path/number/1.5",
    "/path/number/-1.5",
    "/path/number/-11",
    "/path/number/.5",
    "/path/number/5.",
    "/path/number/+5",
    "/path/number/1e3",
    "/path/number/nan",
    "/path/number/.",
    "/path/number/-",
    "/path/boolean/true",
    "/path/boolean/False",
    "/path/boolean/1",
    "/path/boolean/yes",
    "/path/file/a",
    "/path/file/a/b/c.txt",
    "/path/file/a%2Fb",
    "/path/file/a//b",
    "/path/file/a/../b",
    "/path/file/a/",
    "/path/file/",
    "/path/file//a",
    "/path/list/1,2,3",
    "/path/list/1",
    "/path/list/1,2,3,4",
    "/path/list/a,b",
    "/path/list/1,,2",
    "/path/list/1%2C2",
    "/path/dashed/abc",
    "/path/dashed/ABC",
    "/path/dashed-number/5",
    "/path/dashed-number/50",
    "/path/enum/red",
    "/path/enum/dark%20blue",
    "/path/enum/blue",
    "/path/format/6ba7b810-9dad-11d1-80b4-00c04fd430c8/x",
    "/path/format/6BA7B810-9DAD-11D1-80B4-00C04FD430C8/x",
    "/path/camel/x",
    "/path/two/a-1",
    "/path/two/a-b-2",
    "/path/two/a-b",
    "/path/two/1",
    "/fixed-first/fixed",
    "/fixed-first/other",
    "/fixed-first/fixed/",
    "/by-type/5",
    "/by-type/five",
    "/by-type/5/more",
    "/slash/",
    "/slash",
    "/slash//",
    "/no-slash",
    "/no-slash/",
    "/no-slash?x=1",
    "/no-slash/?x=1",
    "/",
    "",
    "//",
    "//no-slash",
    "/./no-slash",
    "/path/../no-slash",
    "/%6Eo-slash",
    "/NO-SLASH",
    "/%C3%BC%C3%B1%C3%AD/x",
    "/unknown",
    "/path",
    "/path/unknown/x",
    "/no-slash%20",
    "/no-slash;v=1",
)

QUERIES = {
    "/query/scalars": (
        "",
        "text=abc",
        "text=a",
        "text=abcdef",
        "text=",
        "text=%C3%BC%C3%BC",
        "text=%FFab",
        "text=a+b",
        "text=a%2Bb",
        "text=null",
        "text",
        "text=ab&text=cd",
        "text=cd&text=a",
        "number=5",
        "number=0",
        "number=101",
        "number=5.0",
        "number=abc",
        "number=",
        "number=%205",
        "number=1e1",
        "number=1_0",
        "number=null",
        "number=none",
        "number=-5",
        "number=%2B5",
        "number=1&number=2",
        "number=%D9%A3",
        "ratio=0.5",
        "ratio=0",
        "ratio=0.7",
        "ratio=1e1",
        "ratio=nan",
        "ratio=inf",
        "ratio=1e400",
        "ratio=x",
        "flag=true",
        "flag=TRUE",
        "flag=false",
        "flag=1",
        "flag=yes",
        "flag=",
        "colour=red",
        "colour=blue",
        "colour=RED",
        "size=2",
        "size=3",
        "size=2.0",
        "code=ABC",
        "code=abcd",
        "limit=3",
        "limit=",
        "ratio_default=1",
        "maybe=1",
        "maybe=null",
        "maybe=None",
        "maybe=NULL",
        "maybe=x",
        "empty=",
        "empty",
        "unknown=1",
        "unknown",
        "text=ab&number=5&flag=false&colour=green",
        "text=ab;number=5",
        "&&",
        "=",
        "=x",
        "?text=ab",
        "text=ab#fragment",
        "text=a=b",
        "%74ext=ab",
        "te%xt=1",
        "Text=ab",
        "text[]=ab",
        "text%5B0%5D=ab",
    ),
    "/query/required": (
        "",
        "needed=x",
        "number=1",
        "needed=x&number=1",
        "needed=&number=1",
        "needed=null&number=1",
        "needed=x&number=null",
        "needed=x&number=1&extra=1",
    ),
    "/query/arrays": (
        "",
        "plain=a",
        "plain=a,b",
        "plain=a&plain=b",
        "plain=a,b&plain=c",
        "plain=a&plain=b&plain=c&plain=d",
        "plain=",
        "plain=,",
        "plain=a%2Cb",
        "exploded=1&exploded=2",
        "exploded=1,2",
        "exploded=x",
        "joined=1,2",
        "joined=1&joined=2",
        "joined=1,1",
        "joined=1,x",
        "piped=a|b",
        "piped=a%7Cb",
        "piped=a|b&piped=c",
        "piped=a,b",
        "spaced=1%202.5",
        "spaced=1+2",
        "spaced=1,2",
        "colours=red,green",
        "colours=red,blue",
        "colours=",
        "flags=true,false",
        "flags=true,maybe",
        "usual=3",
        "usual=3,x",
        "plain[]=a",
    ),
    "/query/deep": (
        "",
        "filter[name]=ada",
        "filter[name]=a",
        "filter[age]=5",
        "filter[age]=x",
        "filter[name]=ada&filter[age]=5",
        "filter[inner][ratio]=0.5",
        "filter[inner][ratio]=x",
        "filter[unknown]=1",
        "filter%5Bname%5D=ada",
        "filter=ada",
        "filter",
        "filter[]=ada",
        "filter[name",
        "filter[name]=ada&filter[name]=bob",
        "filterx[name]=ada",
        "page[number]=2",
        "page[size]=5",
        "page[number]=2&page[size]=x",
        "page[number]=2&filter[age]=1",
        "other[name]=1",
    ),
    "/query/content": ("", "document={}", "document=%7B%22a%22%3A1%7D", "document=x", "document=[1]"),
    "/query/names": (
        "camelCase=a",
        "id=5",
        "id=x",
        "class=first",
        "dashed-name=a",
        "$top=3",
        "%24top=3",
        "$top=x",
        "in[brackets]=a",
        "notTaken=a",
        "camel_case=a",
        "camelCase=a&id=1&class=c&dashed-name=d&$top=1&in[brackets]=e",
    ),
    "/query/keywords": ("", "one=a", "one=a&two=3", "two=x", "camelCase=a", "unknown=1"),
    "/query/references": ("", "limit=50", "limit=51", "colour=red", "colour=blue"),
}

HEADERS: tuple[tuple[str, dict[str, str]], ...] = (
    ("/headers", {}),
    ("/headers", {"X-Text": "abc"}),
    ("/headers", {"X-Text": "abcdef"}),
    ("/headers", {"x-text": "abcdef"}),
    ("/headers", {"X-Colour": "red"}),
    ("/headers", {"X-Colour": "blue"}),
    ("/headers", {"X-Number": "5"}),
    ("/headers", {"X-Unknown": "5"}),
    ("/headers", {"X-Text": "\xfc"}),
    ("/headers/required", {}),
    ("/headers/required", {"X-Needed": "abc"}),
    ("/headers/required", {"X-Needed": "ABC"}),
    ("/headers/required", {"X-Needed": ""}),
    ("/cookies", {}),
    ("/cookies", {"Cookie": "flavour=vanilla"}),
    ("/cookies", {"Cookie": "flavour=salt"}),
    ("/cookies", {"Cookie": "other=1; flavour=mint"}),
    ("/cookies", {"Cookie": 'flavour="mint"'}),
    ("/cookies/required", {}),
    ("/cookies/required", {"Cookie": "visit=12"}),
    ("/cookies/required", {"Cookie": "visit=1"}),
    ("/cookies/required", {"Cookie": "visit="}),
    ("/cookies/required", {"Cookie": "garbage"}),
    ("/cookies/required", {"Cookie": "a=b; visit=a%20b; c"}),
)

BODIES: dict[str, tuple[Any, ...]] = {
    "POST /body/person": (
        {"name": "Ada"},
        {"name": "Ada", "age": 36, "weight": 1.5, "colour": "red"},
        {"name": "Ada", "age": None, "mood": None},
        {"name": "Ada", "mood": "good"},
        {"name": "Ada", "mood": "sad"},
        {"name": ""},
        {"name": "A" * 21},
        {"name": 5},
        {"name": None},
        {"age": 5},
        {},
        [],
        None,
        "text",
        5,
        True,
        {"name": "Ada", "unknown": 1},
        {"name": "Ada", "age": 36.0},
        {"name": "Ada", "age": 36.5},
        {"name": "Ada", "age": True},
        {"name": "Ada", "age": "36"},
        {"name": "Ada", "age": -1},
        {"name": "Ada", "age": 2**70},
        {"name": "Ada", "weight": 0},
        {"name": "Ada", "weight": 10},
        {"name": "Ada", "number": 5},
        {"name": "Ada", "secret": "told"},
        {"name": "Ada", "address": {"city": "London"}},
        {"name": "Ada", "address": {"city": "London", "zip": None}},
        {"name": "Ada", "address": {"city": "London", "zip": "12345"}},
        {"name": "Ada", "address": {"city": "London", "zip": "x"}},
        {"name": "Ada", "address": {}},
        {"name": "Ada", "address": None},
        {"name": "Ada", "tags": ["a", "b"]},
        {"name": "Ada", "tags": ["a", "b", "c", "d"]},
        {"name": "Ada", "tags": ["abcdef"]},
        {"name": "Ada", "extra": {"a": 1}},
        {"name": "Ada", "extra": {"a": "1"}},
        {"name": "\ud83d\ude00 ü"},
        {"name": "\x00"},
    ),
    "PUT /body/person": ({"name": "Ada"}, {}),
    "PATCH /body/person": ({"age": 5}, {"age": "x"}, {"other": 1}, None),
    "POST /body/optional": ({"n": 1}, {"n": "x"}, {}, None, []),
    "POST /body/nullable": ({"n": 1}, {"n": "x"}, None, []),
    "POST /body/default": ({"n": 1}, {}, None),
    "POST /body/any": ({"n": [1, {"x": None}]}, [1], "text", 1.5, None, False),
    "POST /body/list": ([{"n": 1}], [], [{"n": 1}, {"n": 1}], [{"n": 6}], [{}], {}, [{"n": 1}, {"n": 1.0}]),
    "POST /body/scalar": (3, 2, 3.0, "3", None),
    "POST /body/composed": (
        {"kind": "circle", "radius": 1},
        {"kind": "square", "side": 1, "note": "x"},
        {"kind": "circle", "side": 1},
        {"kind": "circle", "radius": 1, "side": 1},
        {"radius": 1},
        {"kind": "circle", "radius": 1, "note": []},
        {"kind": "circle", "radius": 1, "forbidden": 1},
    ),
    "POST /body/formats": (
        {"mail": "a@b"},
        {"mail": "ab"},
        {"address": "1.2.3.4"},
        {"address": "1.2.3"},
        {"small": 2**40},
        {"single": 1e308},
        {"single": 1},
    ),
    "POST /body/recursive": (
        {"label": "a", "children": [{"label": "b"}]},
        {"label": "a", "children": [{"label": 1}]},
    ),
    "POST /body/ignored": ({"name": "Ada"}, {}),
    "POST /body/keywords/x": ({"name": "Ada"}, {}),
    "POST /body/keywords/x?number=5": ({"name": "Ada"},),
    "POST /body/undescribed": ({"a": 1}, None),
}

RAW_JSON: tuple[tuple[bytes, str | None], ...] = (
    (b"", "application/json"),
    (b" ", "application/json"),
    (b"{", "application/json"),
    (b'{"name": "Ada"', "application/json"),
    (b'{"name": "Ada",}', "application/json"),
    (b"{'name': 'Ada'}", "application/json"),
    (b'{"name": "Ada"} x', "application/json"),
    (b'  {"name": "Ada"}\r\n', "application/json"),
    (b'{"name": "Ada", "name": "Bob"}', "application/json"),
    (b'{"name": "\\ud800"}', "application/json"),
    (b'{"name": "a\nb"}', "application/json"),
    (b'{"name": "Ada", "age": 36e0}', "application/json"),
    (b'{"name": "Ada", "age": 01}', "application/json"),
    (b'{"name": "Ada", "weight": 1e400}', "application/json"),
    (b'\xef\xbb\xbf{"name": "Ada"}', "application/json"),
    (b'{"name": "\xc3\xbc"}', "application/json; charset=utf-8"),
    (b'{"name": "\xfc"}', "application/json; charset=latin-1"),
    ('{"name": "Ada"}'.encode("utf-16"), "application/json; charset=utf-16"),
    (b'{"name": "Ada"}', "Application/JSON"),
    (b'{"name": "Ada"}', "application/json;"),
    (b'{"name": "Ada"}', 'application/json; charset="utf-8"'),
    (b'{"name": "Ada"}', "application/json; version=1"),
    (b'{"name": "Ada"}', "text/json"),
    (b'{"name": "Ada"}', "text/plain"),
    (b'{"name": "Ada"}', "application/problem+json"),
    (b'{"name": "Ada"}', "application/x-www-form-urlencoded"),
    (b'{"name": "Ada"}', "multipart/form-data"),
    (b'{"name": "Ada"}', "nonsense"),
    (b'{"name": "Ada"}', ""),
    (b'{"name": "Ada"}', None),
    (b"", None),
    (b"null", "application/json"),
    (b'{"name": "\xfc"}', "application/json;charset=latin-1"),
    (b'{"name": "\xff"}', "application/json"),
    (b'{"name": "Ada"}', "application/json;charset=unheard-of"),
    (b"[" * 100_000, "application/json"),
    (b'{"name": "Ada", "age": ' + b"9" * 5000 + b"}", "application/json"),
    (b'{"name": "Ada", "weight": NaN}', "application/json"),
    (b'{"name": "Ada", "weight": -Infinity}', "application/json"),
)


def _bodies(base: str) -> Iterator[Call]:
    for operation, values in BODIES.items():
        method, _, path = operation.partition(" ")
        yield from (send_json(base + path, value, method) for value in values)
    for kind in ("application/json", "application/vnd.gallery+json", "application/vnd.other+json"):
        yield send(base + "/body/vendor", b'{"n": 1}', kind)
        yield send(base + "/body/vendor", b"{}", kind)
    yield get(base + "/body/person", "DELETE")
    yield send(base + "/no-slash", b"body of a GET", "text/plain", "GET")


def _raw_bodies(base: str) -> Iterator[Call]:
    for path in ("/body/person", "/body/nullable"):
        yield from (send(base + path, body, kind) for body, kind in RAW_JSON)
    for path in ("/body/optional", "/body/default", "/body/any"):
        yield from (send(base + path, body, kind) for body, kind in RAW_JSON[:4])


def _large_bodies(base: str) -> Iterator[Call]:
    yield send_json(base + "/body/person", {"name": "Ada", "tags": ["x"] * 90_000})
    yield send_json(base + "/body/any", {"n": list(range(50_000))})
    yield send_form(base + "/form", ("name", "x" * 300_000))
    yield send_parts(base + "/upload", ("file", "large.bin", b"0123456789" * 150_000, None))
    yield send_parts(
        base + "/upload", ("file", "large.bin", b"0123456789" * 150_000, None), ("pages", None, b"x", None)
    )
    yield send(base + "/bytes", b"0123456789" * 150_000, "application/octet-stream")


def _forms(base: str) -> Iterator[Call]:
    fields: tuple[tuple[tuple[str, str], ...], ...] = (
        (),
        (("name", "Ada"),),
        (("name", "A"),),
        (("name", "Ada"), ("age", "36")),
        (("name", "Ada"), ("age", "x")),
        (("name", "Ada"), ("age", "-1")),
        (("name", "Ada"), ("ratio", "1.5"), ("flag", "false")),
        (("name", "Ada"), ("flag", "maybe")),
        (("name", "Ada"), ("tags", "a"), ("tags", "b")),
        (("name", "Ada"), ("tags", "a,b")),
        (("name", "Ada"), ("numbers", "1"), ("numbers", "2")),
        (("name", "Ada"), ("numbers", "1,x")),
        (("name", "Ada"), ("name", "Bob")),
        (("name", "Ada"), ("maybe", "null")),
        (("name", "Ada"), ("unknown", "1")),
        (("name", "ü € +&="),),
        (("name", ""),),
    )
    for some in fields:
        yield send_form(base + "/form", *some)
        yield send_parts(base + "/form/parts", *((name, None, value.encode(), None) for name, value in some))
    yield send_form(base + "/form/closed", ("name", "Ada"), ("age", "3"))
    yield send_form(base + "/form/closed", ("unknown", "Ada"))
    yield send_form(base + "/form/encoded", ("tags", "a|b"))
    yield send_form(base + "/form/encoded", ("document", '{"a": 1}'))
    yield send_form(base + "/form/encoded", ("document", "[1]"))
    form = "application/x-www-form-urlencoded"
    for body in (
        b"name=Ada&name",
        b"name",
        b"&",
        b"=",
        b"name=%FFda",
        b"name=%zzda",
        b"name=A+B",
        b"name=Ada;age=3",
    ):
        yield send(base + "/form", body, form)
    yield send(base + "/form", b"name=Ada", f"{form}; charset=utf-8")
    yield send(base + "/form", b"name=Ada", "text/plain")
    yield send(base + "/form", b"name=Ada", None)
    yield send_json(base + "/form", {"name": "Ada"})


def _uploads(base: str) -> Iterator[Call]:
    small: Part = ("file", "a.txt", b"some text", "text/plain")
    yield send_parts(base + "/upload", small)
    yield send_parts(base + "/upload", small, ("title", None, b"a title", None))
    yield send_parts(base + "/upload", small, ("title", None, b"much too long for a title", None))
    yield send_parts(base + "/upload", small, ("title", None, "ü".encode(), "text/plain; charset=utf-8"))
    yield send_parts(base + "/upload", small, ("pages", None, b"5", None))
    yield send_parts(base + "/upload", small, ("pages", None, b"x", None))
    yield send_parts(base + "/upload", small, ("unknown", None, b"x", None))
    yield send_parts(base + "/upload", small, ("other", "b.txt", b"x", None))
    yield send_parts(base + "/upload", small, small)
    yield send_parts(base + "/upload", ("title", None, b"no file", None))
    yield send_parts(base + "/upload", ("file", None, b"a field, no file", None))
    yield send_parts(base + "/upload", ("title", "t.txt", b"a file, no field", None), small)
    yield send_parts(base + "/upload", ("file", "ü b.bin", bytes(range(256)), None))
    yield send_parts(base + "/upload", ("file", "", b"", None))
    yield send_parts(base + "/upload", ("file", "empty", b"", "application/octet-stream"))
    yield send_parts(base + "/upload")
    yield send(base + "/upload", b"", "multipart/form-data; boundary=boundary")
    yield send(base + "/upload", b"garbage", "multipart/form-data; boundary=boundary")
    yield send_form(base + "/upload", ("title", "x"))
    yield send_parts(base + "/uploads", ("files", "a", b"1", None))
    yield send_parts(base + "/uploads", ("files", "a", b"1", None), ("files", "b", b"2", None))
    yield send_parts(base + "/uploads", ("files", "a", b"1", None), ("other", "b", b"2", None))
    yield send_parts(base + "/uploads")
    yield send_parts(base + "/uploads/keywords", small, ("title", None, b"t", None))


def _other_bodies(base: str) -> Iterator[Call]:
    for path in ("/text", "/bytes", "/several", "/whatever", "/images"):
        for kind in (
            "text/plain",
            "text/plain; charset=latin-1",
            "application/octet-stream",
            "image/png",
            None,
        ):
            yield send(base + path, b"body", kind)
            yield send(base + path, b"", kind)
        yield send(base + path, b"\xff\x00", "application/octet-stream")
        yield send(base + path, b"much longer a body", "text/plain")
        yield send_json(base + path, {"n": 1})
        yield send_json(base + path, {"n": "x"})
        yield send_form(base + path, ("n", "1"))
        yield send_form(base + path, ("n", "x"))


_FORMATS = ("json", "text", "bytes", "several", "undescribed", "vendor", "person")

_TELLING = ("dict", "str", "bytes", "int", "none", "no-content-204", "text-with-type", "generator", "stream")
"""Answers that differ by what the spec says of the operation's content."""


def _answers(base: str) -> Iterator[Call]:
    yield from (get(f"{base}/answer/json/{kind}") for kind in ANSWERS)
    for format_ in _FORMATS:
        yield from (get(f"{base}/answer/{format_}/{kind}") for kind in _TELLING)
    yield from (get(f"{base}/answer/person/{kind}") for kind in ANSWERS if kind.startswith("person"))
    yield from (
        get(f"{base}/answer/bytes/{kind}") for kind in ANSWERS if kind.startswith(("send", "stream", "large"))
    )
    for kind in ("dict", "stream", "generator", "flask-response", "send-file", "none-204"):
        yield get(f"{base}/answer/json/{kind}", "HEAD")
    yield get(f"{base}/answer/bytes/send-conditional", If_None_Match='"the-file"')
    yield get(f"{base}/answer/bytes/send-conditional", Range="bytes=5-9")
    yield get(f"{base}/answer/bytes/send-conditional", Range="bytes=500-")
    yield get(f"{base}/answer/json/stream", X_Stop="yes")


def _checked_answers(base: str) -> Iterator[Call]:
    yield from (get(f"{base}/answer/person/{kind}") for kind in ANSWERS if kind.startswith("person"))
    for format_ in _FORMATS:
        yield from (
            get(f"{base}/answer/{format_}/{kind}") for kind in (*_TELLING, "set", "stream-with-context")
        )


def _all_answers(base: str) -> Iterator[Call]:
    yield from _answers(base)
    for format_ in _FORMATS:
        yield from (get(f"{base}/answer/{format_}/{kind}") for kind in ANSWERS)


def _raised(base: str) -> Iterator[Call]:
    yield from (get(f"{base}/raise/{kind}") for kind in RAISED)
    yield send_json(f"{base}/raise/bad-json", {})
    yield send(f"{base}/raise/bad-json", b"{", "application/json")
    yield send(f"{base}/raise/bad-key", b"", "text/plain")
    yield send_form(f"{base}/raise/own", ("a", "b"))


def _visible(base: str) -> Iterator[Call]:
    yield get(
        f"{base}/request/flask/a%20b/5?x=1&x=2&y=%C3%BC",
        Cookie="a=b",
        Accept="text/html",
        Authorization=basic("ada", "x"),
    )
    yield send_json(f"{base}/request/flask/a/5", {"n": 1})
    yield send_form(f"{base}/request/flask/a/5", ("a", "1"), ("a", "2"))
    yield send_parts(f"{base}/request/flask/a/5", ("file", "f", b"content", None), ("a", None, b"b", None))
    yield send(f"{base}/request/flask/a/5", b"text", "text/plain")
    yield send(f"{base}/request/flask/a/5", b"", None)
    yield get(f"{base}/request/connexion/a%20b?number=5", Cookie="a=b")
    yield send_json(f"{base}/request/connexion/a", {"n": 1})
    for root_path in ("/prefix", "/pre fix", "/a/b"):
        yield get(f"{base}/request/flask/a/5", root_path=root_path)
        yield get(f"{base}/request/connexion/a", root_path=root_path)
        yield get(f"{base}/no-slash/", root_path=root_path)
        yield get(f"{base}/urls", root_path=root_path)
        yield get(f"{base}/ui", root_path=root_path)
        yield get("/nowhere", root_path=root_path)
    yield get(f"{base}/no-slash", Host="other.example")
    yield get(f"{base}/hooks/after")
    yield get(f"{base}/hooks/after", X_Stop="yes")
    yield get(f"{base}/hooks/after", X_Stop="raise")
    yield get(f"{base}/session")
    yield get(f"{base}/session", Cookie="session=forged")
    yield get(f"{base}/urls")


def _written(base: str) -> Iterator[Call]:
    for way in ("async", "decorated", "method", "defaults"):
        yield from _gets(
            base, *(f"/written/{way}{query}" for query in ("", "?number=5", "?number=x", "?text=a"))
        )
    yield from _gets(base, "/written/missing-argument", "/written/routed", "/written/context")
    yield from _gets(base, "/written/mutates", "/written/mutates", "/written/mutates?usual=5")
    yield get(f"{base}/written/context", X_Key="ada-key")
    for key in ("ada-key", "bob-key", "wrong", "banned", "broken", ""):
        yield get(f"{base}/key?number=5", X_Key=key)
        yield get(f"{base}/key?number=x", X_Key=key)
    yield get(f"{base}/key")


def _methods(base: str) -> Iterator[Call]:
    methods = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW", "get")
    for path in (
        "/methods",
        "/methods/head",
        "/methods/post",
        "/no-slash",
        "/unknown",
        "/slash",
        "/body/person",
    ):
        yield from (get(base + path, method) for method in methods)
    yield from (get(f"{base}/path/integer/x", method) for method in methods)


def _ui(base: str, name: str = "openapi") -> Iterator[Call]:
    yield from _gets(
        base, f"/{name}.json", f"/{name}.yaml", "/ui", "/ui/", "/ui/index.html", "/ui/swagger-ui.css"
    )
    yield from _gets(base, "/ui/unknown.js", "/ui/../openapi.json", "/ui/%2e%2e/index.html", f"/{name}.json/")
    yield get(f"{base}/{name}.json", "POST")
    yield get(f"{base}/ui/", "DELETE")
    yield get(f"{base}/ui/swagger-ui.css", "HEAD")


def _pages() -> Iterator[Call]:
    yield from _gets(
        "/pages", "/page/x", "/page/a%2Fb", "/page/%C3%BC", "/page/", "/unknown", "/slash/", "/slash", ""
    )
    yield from _gets("/pages", "/raise", "/page/x?a=b", "//page/x", "/page/x/")
    yield from (get("/pages/page/x", method) for method in ("HEAD", "OPTIONS", "DELETE", "PUT"))
    yield send_form("/pages/page/x", ("a", "b"))
    yield send_json("/pages/page/x", {"a": 1})
    yield send("/pages/page/x", b"{", "application/json")
    yield get("/pages/page/x", X_Stop="yes")
    yield get("/nowhere", X_Stop="yes")
    yield from _gets(
        "", "/", "//", "/nowhere", "/gallerygallery", "/gallery", "/Gallery/no-slash", "/static/x", "*"
    )
    yield get("/nowhere", "POST")
    yield get("*", "OPTIONS")


def _secured() -> Iterator[Call]:
    keys = ("ada-key", "bob-key", "wrong", "banned", "broken", "")
    for path in (
        "/default",
        "/optional",
        "/nobody-first",
        "/open",
        "/with-request",
        "/arguments/eve",
        "/keywords",
    ):
        yield from (get(f"/secured{path}", X_Key=key) for key in keys)
        yield get(f"/secured{path}")
    yield from _gets(
        "/secured", "/query", "/query?key=ada-key", "/query?key=wrong", "/query?key=ada-key&number=x"
    )
    yield from _gets(
        "/secured", "/query?key=ada-key&number=5", "/query?key=ada-key&key=wrong", "/query?key=&other=1"
    )
    cookies = ("key=ada-key", "key=wrong", "other=1", "a=b; key=bob-key", "garbage", 'key="ada-key"')
    yield from (get("/secured/cookie", Cookie=cookie) for cookie in cookies)
    yield get("/secured/cookie")
    authorizations = (
        basic("ada", "secret"),
        basic("ada", "wrong"),
        basic("ü", "secret"),
        "Basic nonsense",
        "Basic",
        "basic " + basic("ada", "secret")[6:],
        "Bearer reader",
        "bearer writer",
        "Bearer nobody",
        "Bearer wrong",
        "Bearer banned",
        "Bearer",
        "Bearer a b",
        "Digest x",
        "",
        " ",
    )
    for path in ("/basic", "/bearer", "/async", "/read", "/write", "/own-scopes", "/and", "/or", "/and-or"):
        yield get(f"/secured{path}")
        yield from (get(f"/secured{path}", Authorization=value) for value in authorizations)
        yield from (
            get(f"/secured{path}", Authorization=value, X_Key="bob-key") for value in authorizations[:10]
        )
    yield get("/secured/or?key=ada-key")
    yield get("/secured/or?key=wrong", Authorization="Bearer wrong")
    yield get("/secured/invalid-first?number=x")
    yield get("/secured/invalid-first?number=x", X_Key="ada-key")
    yield get("/secured/unknown", X_Key="ada-key")
    yield send("/secured/async", b'{"n": 1}', "application/json", Authorization="Bearer reader")
    yield send("/secured/async", b'{"n": "x"}', "application/json", Authorization="Bearer reader")
    yield send("/secured/async", b"", "application/json", Authorization="Bearer reader")
    yield get("/secured/async", "PUT", Authorization="Bearer reader")


def _old() -> Iterator[Call]:
    yield from _gets("/old", "/path/5/1,2", "/path/50/1,2", "/path/5/1,x", "/path/x/1")
    queries = (
        "",
        "flag=true",
        "flag=maybe",
        "flag=true&text=abcdef",
        "flag=true&number=5",
        "flag=true&number=x",
        "flag=true&maybe=null",
        "flag=true&maybe=5",
        "flag=true&commas=1,2",
        "flag=true&commas=1&commas=2",
        "flag=true&piped=a|b",
        "flag=true&multi=1&multi=2",
        "flag=true&multi=1,2",
        "flag=true&unknown=1",
    )
    yield from (get(f"/old/query?{query}") for query in queries)
    yield get("/old/header")
    yield get("/old/header", X_Text="abc")
    yield get("/old/header", X_Text="abcdef")
    for value in ({"n": 1}, {"n": "x"}, {"n": 1, "note": None}, {}, None, []):
        yield send_json("/old/body", value)
        yield send_json("/old/body", value, "PUT")
    yield send("/old/body", b"", "application/json")
    yield send("/old/body", b"", "application/json", "PUT")
    yield send("/old/body", b'{"n": 1}', "text/plain")
    yield send_form("/old/form", ("name", "Ada"))
    yield send_form("/old/form", ("name", "Ada"), ("age", "7"), ("tags", "a"), ("tags", "b"))
    yield send_form("/old/form", ("name", "Ada"), ("age", "x"))
    yield send_form("/old/form", ("age", "1"))
    yield send_form("/old/form", ("name", "Ada"), ("unknown", "1"))
    yield send_parts("/old/upload", ("file", "a", b"1", None))
    yield send_parts("/old/upload", ("file", "a", b"1", None), ("title", None, b"t", None))
    yield send_parts("/old/upload", ("title", None, b"t", None))
    yield get("/old/text")
    yield get("/old/secret")
    yield get("/old/secret", X_Key="ada-key")
    yield get("/old/secret", Authorization=basic("ada", "secret"))
    yield from _ui("/old", "swagger")
    yield get("/old/swagger.yaml")
    yield get("/old/swagger.json", "HEAD")
    yield get("/old/swagger.json", root_path="/prefix")
    yield get("/old/ui/", root_path="/a/b")


def _paths(base: str) -> Iterator[Call]:
    yield from _gets(base, *PATHS)


def _queries(base: str) -> Iterator[Call]:
    for path, queries in QUERIES.items():
        yield from (get(f"{base}{path}?{query}" if query else base + path) for query in queries)
    yield get(f"{base}/query/scalars?" + quote("text=ab"))


def _header_calls(base: str) -> Iterator[Call]:
    for path, headers in HEADERS:
        yield Call("GET", base + path, tuple(headers.items()))
    yield Call("GET", f"{base}/headers", (("X-Text", "a"), ("X-Text", "b")))
    yield Call("GET", f"{base}/cookies", (("Cookie", "flavour=mint"), ("Cookie", "other=1")))


@dataclass(frozen=True)
class Group:
    """Calls of one kind to one API."""

    name: str
    calls: tuple[Call, ...]

    def __str__(self) -> str:
        return self.name


def _groups(bases: Iterable[str], *makers: Callable[[str], Iterable[Call]]) -> Iterator[Group]:
    for make in makers:
        for base in bases:
            yield Group(f"{make.__name__.strip('_')} of {base}", tuple(dict.fromkeys(make(base))))


_LENIENT, _STRICT = "/gallery", "/strict"

_OTHERS = (
    Group("pages", tuple(_pages())),
    Group("secured", tuple(_secured())),
    Group("old", tuple(_old())),
)

CHOSEN_GROUPS = (
    *_groups(
        [_LENIENT], _paths, _header_calls, _raw_bodies, _uploads, _large_bodies, _other_bodies, _answers
    ),
    *_groups([_LENIENT], _raised, _visible, _methods, _ui),
    *_groups([_LENIENT, _STRICT], _queries, _bodies, _forms, _written),
    *_groups([_STRICT], _checked_answers),
    *_OTHERS,
)

ALL_GROUPS = (
    *_groups([_LENIENT, _STRICT], _paths, _queries, _header_calls, _bodies, _raw_bodies, _forms, _uploads),
    *_groups(
        [_LENIENT, _STRICT],
        _large_bodies,
        _other_bodies,
        _all_answers,
        _checked_answers,
        _raised,
        _visible,
        _written,
    ),
    *_groups([_LENIENT, _STRICT], _methods, _ui),
    *_OTHERS,
)
