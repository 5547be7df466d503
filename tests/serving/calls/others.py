"""Requests by other methods, to pages outside the specs, to secured operations, and to the Swagger 2 part."""

from collections.abc import Iterator

from tests.serving.calls.making import basic, get, gets, send, send_form, send_json, send_parts
from tests.serving.sides import Call


def methods(base: str) -> Iterator[Call]:
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


def ui(base: str, name: str = "openapi") -> Iterator[Call]:
    yield from gets(base, f"/{name}.json", "/ui", "/ui/", "/ui/index.html", "/ui/swagger-ui.css")
    yield from gets(base, "/ui/unknown.js", "/ui/../openapi.json", "/ui/%2e%2e/index.html", f"/{name}.json/")
    yield get(f"{base}/{name}.json", "POST")
    yield get(f"{base}/ui/", "DELETE")
    yield get(f"{base}/ui/swagger-ui.css", "HEAD")


def pages() -> Iterator[Call]:
    yield from gets(
        "/pages", "/page/x", "/page/a%2Fb", "/page/%C3%BC", "/page/", "/unknown", "/slash/", "/slash", ""
    )
    yield from gets("/pages", "/raise", "/page/x?a=b", "//page/x", "/page/x/")
    yield from (get("/pages/page/x", method) for method in ("HEAD", "OPTIONS", "DELETE", "PUT"))
    yield send_form("/pages/page/x", ("a", "b"))
    yield send_json("/pages/page/x", {"a": 1})
    yield send("/pages/page/x", b"{", "application/json")
    yield get("/pages/page/x", X_Stop="yes")
    yield get("/nowhere", X_Stop="yes")
    yield from gets(
        "", "/", "//", "/nowhere", "/gallerygallery", "/gallery", "/Gallery/no-slash", "/static/x", "*"
    )
    yield get("/nowhere", "POST")
    yield get("*", "OPTIONS")


def secured() -> Iterator[Call]:
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
    yield from gets(
        "/secured", "/query", "/query?key=ada-key", "/query?key=wrong", "/query?key=ada-key&number=x"
    )
    yield from gets(
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
    for path in ("/and", "/and-or"):
        yield from (get(f"/secured{path}", Authorization=value, X_Key="bob-key") for value in authorizations)
    yield get("/secured/or?key=ada-key")
    yield get("/secured/or?key=wrong", Authorization="Bearer wrong")
    yield get("/secured/invalid-first?number=x")
    yield get("/secured/invalid-first?number=x", X_Key="ada-key")
    yield get("/secured/unknown", X_Key="ada-key")
    yield send("/secured/async", b'{"n": 1}', "application/json", Authorization="Bearer reader")
    yield send("/secured/async", b'{"n": "x"}', "application/json", Authorization="Bearer reader")
    yield send("/secured/async", b"", "application/json", Authorization="Bearer reader")
    yield get("/secured/async", "PUT", Authorization="Bearer reader")


def old() -> Iterator[Call]:
    yield from gets("/old", "/path/5/1,2", "/path/50/1,2", "/path/5/1,x", "/path/x/1")
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
    yield from ui("/old", "swagger")
    yield get("/old/swagger.yaml")
    yield get("/old/swagger.json", "HEAD")
    yield get("/old/swagger.json", root_path="/prefix")
    yield get("/old/ui/", root_path="/a/b")
