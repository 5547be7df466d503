"""GET /sites/export: all of an owner's sites as a file, made while it is sent."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import chain
from typing import NamedTuple

from flask import Response, request, stream_with_context

from swagger_server import db
from swagger_server.bulk import turn
from swagger_server.courtesy import long_computation
from swagger_server.problems import Problem
from swagger_server.queries import sites
from swagger_server.queries.site_export import AS_CSV, AS_FEATURES, AS_JSON, CELLS, export
from swagger_server.serving import Turns

_exports = Turns("exports")


def export_(user: str, format_: str | None = None) -> Response:
    """GET /sites/export"""
    name = format_ or _accepted()
    kind = _FORMATS[name]
    db.act_as(sites.ROLE, owner=user)
    with ExitStack() as stack:
        stack.enter_context(turn(_exports, user))
        pieces = stream_with_context(_considerately(kind.pieces()))
        stack.callback(pieces.close)  # type: ignore[attr-defined]  # a generator
        # With what goes wrong before the first of them the answer can still be an error.
        first = next(pieces)
        response = Response(chain([first], pieces), content_type=kind.content_type)
        response.call_on_close(stack.pop_all().close)
    response.headers["Content-Disposition"] = f'attachment; filename="sites.{name}"'
    if format_ is None:
        response.vary.add("Accept")
    return response


def _accepted() -> str:
    """The format that the client likes best; Problem 406 where it likes none."""
    if "Accept" not in request.headers:
        return "csv"
    wanted = request.accept_mimetypes.best_match([kind.media_type for kind in _FORMATS.values()])
    for name, kind in _FORMATS.items():
        if kind.media_type == wanted:
            return name
    raise Problem(406, "There are " + ", ".join(kind.media_type for kind in _FORMATS.values()) + ".")


def _considerately(pieces: Iterator[bytes]) -> Iterator[bytes]:
    with closing(pieces):  # type: ignore[type-var]  # a generator
        while True:
            with long_computation():
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece


def _as_csv() -> Iterator[bytes]:
    with db.transaction() as conn, closing(export(conn, AS_CSV)) as batches:
        yield ",".join(CELLS).encode() + b"\r\n"
        for rows in batches:
            yield "".join(f"{row}\r\n" for (row,) in rows).encode()


def _as_json_lines() -> Iterator[bytes]:
    with db.transaction() as conn, closing(export(conn, AS_JSON)) as batches:
        for rows in chain(batches, [[]]):
            yield "".join(f"{site}\n" for (site,) in rows).encode()


def _as_geojson() -> Iterator[bytes]:
    with db.transaction() as conn, closing(export(conn, AS_FEATURES)) as batches:
        before = '{"type":"FeatureCollection","features":[\n'
        for rows in batches:
            yield (before + ",\n".join(feature for (feature,) in rows)).encode()
            before = ",\n"
        yield (before if before[0] == "{" else "").encode() + b"\n]}\n"


class _Format(NamedTuple):
    media_type: str
    parameters: str
    pieces: Callable[[], Iterator[bytes]]

    @property
    def content_type(self) -> str:
        return self.media_type + self.parameters


_FORMATS = {
    "csv": _Format("text/csv", "; charset=utf-8; header=present", _as_csv),
    "ndjson": _Format("application/x-ndjson", "", _as_json_lines),
    "geojson": _Format("application/geo+json", "", _as_geojson),
}
