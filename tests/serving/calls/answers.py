"""Requests to controllers that answer, look around and are written in every way."""

from collections.abc import Iterator

from tests.serving.calls.making import basic, get, gets, send, send_form, send_json, send_parts
from tests.serving.gallery.answers import ANSWERS, RAISED
from tests.serving.sides import Call

_FORMATS = ("json", "text", "bytes", "several", "undescribed", "vendor", "person")

_TELLING = ("dict", "str", "bytes", "int", "none", "no-content-204", "text-with-type", "generator", "stream")
"""Answers that differ by what the spec says of the operation's content."""


def answers(base: str) -> Iterator[Call]:
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


def checked_answers(base: str) -> Iterator[Call]:
    yield from (get(f"{base}/answer/person/{kind}") for kind in ANSWERS if kind.startswith("person"))
    for format_ in _FORMATS:
        yield from (
            get(f"{base}/answer/{format_}/{kind}") for kind in (*_TELLING, "set", "stream-with-context")
        )


def all_answers(base: str) -> Iterator[Call]:
    yield from answers(base)
    for format_ in _FORMATS:
        yield from (get(f"{base}/answer/{format_}/{kind}") for kind in ANSWERS)


def raised(base: str) -> Iterator[Call]:
    yield from (get(f"{base}/raise/{kind}") for kind in RAISED)
    yield send_json(f"{base}/raise/bad-json", {})
    yield send(f"{base}/raise/bad-json", b"{", "application/json")
    yield send(f"{base}/raise/bad-key", b"", "text/plain")
    yield send_form(f"{base}/raise/own", ("a", "b"))


def visible(base: str) -> Iterator[Call]:
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


def written(base: str) -> Iterator[Call]:
    for way in ("async", "decorated", "method", "defaults"):
        yield from gets(
            base, *(f"/written/{way}{query}" for query in ("", "?number=5", "?number=x", "?text=a"))
        )
    yield from gets(base, "/written/missing-argument", "/written/routed", "/written/context")
    yield from gets(base, "/written/mutates", "/written/mutates?", "/written/mutates?usual=5")
    yield get(f"{base}/written/context", X_Key="ada-key")
    for key in ("ada-key", "bob-key", "wrong", "banned", "broken", ""):
        yield get(f"{base}/key?number=5", X_Key=key)
        yield get(f"{base}/key?number=x", X_Key=key)
    yield get(f"{base}/key")
