"""Requests with bodies: JSON, forms, uploads and others, right and wrong."""

from collections.abc import Iterator
from typing import Any

from tests.serving.calls.making import Part, get, send, send_form, send_json, send_parts
from tests.serving.sides import Call

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
    (b"\xff", None),
    (b"null", "application/json"),
    (b'{"name": "\xfc"}', "application/json;charset=latin-1"),
    (b'{"name": "\xff"}', "application/json"),
    (b'{"name": "Ada"}', "application/json;charset=unheard-of"),
    (b"[" * 100_000, "application/json"),
    (b'{"name": "Ada", "age": ' + b"9" * 5000 + b"}", "application/json"),
    (b'{"name": "Ada", "weight": NaN}', "application/json"),
    (b'{"name": "Ada", "weight": -Infinity}', "application/json"),
)


def bodies(base: str) -> Iterator[Call]:
    for operation, values in BODIES.items():
        method, _, path = operation.partition(" ")
        yield from (send_json(base + path, value, method) for value in values)
    for kind in ("application/json", "application/vnd.gallery+json", "application/vnd.other+json"):
        yield send(base + "/body/vendor", b'{"n": 1}', kind)
        yield send(base + "/body/vendor", b"{}", kind)
    yield send(base + "/body/default", b"", None)
    yield send(base + "/body/default", b"", "application/json")
    yield get(base + "/body/person", "DELETE")
    yield send(base + "/no-slash", b"body of a GET", "text/plain", "GET")


def raw_bodies(base: str) -> Iterator[Call]:
    for path in ("/body/person", "/body/nullable"):
        yield from (send(base + path, body, kind) for body, kind in RAW_JSON)
    for path in ("/body/optional", "/body/default", "/body/any"):
        yield from (send(base + path, body, kind) for body, kind in RAW_JSON[:4])


def large_bodies(base: str) -> Iterator[Call]:
    yield send_json(base + "/body/person", {"name": "Ada", "tags": ["x"] * 90_000})
    yield send_json(base + "/body/any", {"n": list(range(50_000))})
    yield send_form(base + "/form", ("name", "x" * 300_000))
    yield send_parts(base + "/upload", ("file", "large.bin", b"0123456789" * 150_000, None))
    yield send_parts(
        base + "/upload", ("file", "large.bin", b"0123456789" * 150_000, None), ("pages", None, b"x", None)
    )
    yield send(base + "/bytes", b"0123456789" * 150_000, "application/octet-stream")


def forms(base: str) -> Iterator[Call]:
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


def uploads(base: str) -> Iterator[Call]:
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


def other_bodies(base: str) -> Iterator[Call]:
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
