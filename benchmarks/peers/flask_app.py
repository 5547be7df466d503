"""The Flask app of two peers, which differ in where a connection comes from.

The queries are our service's own functions, checked requests are pydantic's, CORS is Flask-CORS's. JSON comes from
the database and travels as it is.
"""

import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager

from flask import Flask, Response, abort, g, jsonify, request
from flask_cors import CORS
from psycopg2.extensions import connection
from pydantic import ValidationError

from benchmarks.peers import pages
from benchmarks.peers.parameters import AirportPath, CityPath, CityQuery, Entry, filters
from benchmarks.peers.problems import problem
from swagger_server.queries.airports import find_airport
from swagger_server.queries.cities import find_city, list_cities, search_cities
from swagger_server.search_key import search_key

INSERT = "INSERT INTO entry (name, amount) VALUES (%s, %s) RETURNING number"
JSON = "application/json"

Borrow = Callable[[], AbstractContextManager[connection]]
"""Lends a connection in autocommit."""


def create(borrow: Borrow) -> Flask:
    """The app on connections that `borrow` lends."""
    app = Flask(__name__, static_folder=None)
    CORS(app, expose_headers=["Link", "X-Request-ID"], max_age=600)
    app.before_request(_take_id)
    app.after_request(_send_id)
    app.register_error_handler(ValidationError, _refuse)
    _add_airports(app, borrow)
    _add_cities(app, borrow)
    _add_ledger(app, borrow)
    return app


def _take_id() -> None:
    g.request_id = request.headers.get("X-Request-ID", "")[:128] or uuid.uuid4().hex


def _send_id(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    return response


def _refuse(exc: ValidationError) -> tuple[Response, int, dict[str, str]]:
    detail = "; ".join(f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in exc.errors())
    return jsonify(problem(detail)), 400, {"Content-Type": "application/problem+json"}


def _add_airports(app: Flask, borrow: Borrow) -> None:
    @app.get("/v1/airports/<code>")
    def airport(code: str) -> Response:
        path = AirportPath(code=code)
        with borrow() as conn:
            return _one(find_airport(conn, path.code.upper()))


def _add_cities(app: Flask, borrow: Borrow) -> None:
    @app.get("/v1/cities/<int:number>")
    def city(number: int) -> Response:
        path = CityPath(id=number)
        with borrow() as conn:
            return _one(find_city(conn, path.id))

    @app.get("/v1/cities")
    def cities() -> Response:
        query = CityQuery.model_validate(request.args.to_dict())
        if query.cursor is not None:
            abort(400, "Only first pages are made here.")
        return _cities(borrow, query)


def _cities(borrow: Borrow, query: CityQuery) -> Response:
    wanted = filters(query.country, query.subdivision, query.min_population)
    with borrow() as conn:
        if query.q is None:
            page = list_cities(conn, query.limit, None, **wanted, hits=True)
        else:
            page = search_cities(conn, search_key(query.q), query.limit, None, **wanted)
    url = pages.next_url(request.base_url, request.args.items(multi=True), page.after)
    return Response(pages.page(page.items, url), headers=pages.link(url), content_type=JSON)


def _add_ledger(app: Flask, borrow: Borrow) -> None:
    @app.post("/ledger/entries")
    def create_entry() -> Response:
        entry = Entry.model_validate_json(request.get_data())
        with borrow() as conn, conn.cursor() as cur:
            cur.execute(INSERT, (entry.name, entry.amount))
            (number,) = cur.fetchone() or (0,)
        return Response(b'{"number":%d}' % number, 201, content_type=JSON)


def _one(text: str | None) -> Response:
    if text is None:
        abort(404)
    return Response(text, content_type=JSON)
