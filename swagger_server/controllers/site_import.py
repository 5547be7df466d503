"""POST /sites/import: a file of sites, all of them or, with every bad row named, none."""

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import IO, Any

from flask import Response, current_app, g, request

from swagger_server import db, idempotency, under_way
from swagger_server.bulk import turn
from swagger_server.controllers.site_input import MOST_ATTRIBUTES, site_properties, site_schema
from swagger_server.courtesy import long_computation
from swagger_server.encoder import dumps, json_response
from swagger_server.problems import Problem
from swagger_server.queries import site_import, sites
from swagger_server.queries.site_import import StagedRow, array_literal
from swagger_server.records import BadHeader, BadRow, Row, csv_rows, json_rows
from swagger_server.search_key import search_key
from swagger_server.serving import Fault, Turns

MOST_BAD_ROWS = 100
"""That are named."""

_LONGEST_FIELD = 100
"""Characters that are told of a field's name: an unknown one is whatever was sent."""

_OWN_MEMBERS = frozenset({"id", "created_at", "updated_at"})
"""What an export has of a site beside what is given of one: its id tells which site it is, the others are not read."""

_JSON_LINES = "application/x-ndjson"
_READ_AT_ONCE = 262_144  # bytes


_imports = Turns("imports")


def import_(user: str) -> Response:
    """POST /sites/import"""
    file = request.stream
    if request.mimetype_params.get("charset", "utf-8").lower() not in ("utf-8", "utf8"):
        raise Problem(415, "The file is to be in UTF-8.")
    db.act_as(sites.ROLE, owner=user)
    with turn(_imports, user):
        asked = under_way.current.get()
        # Before the key is taken: who waits for another's import may wait as long as for one's own.
        site_import.be_patient(g.db, None if asked is None else asked.cancellation.time_left())
        fingerprint = _fingerprint(file) if idempotency.HEADER in request.headers else None
        return idempotency.once(lambda: _import(file), fingerprint)


def _fingerprint(file: IO[bytes]) -> bytes:
    digest = hashlib.sha256(f"{request.mimetype}\n".encode())
    while piece := file.read(_READ_AT_ONCE):
        digest.update(piece)
    file.seek(0)
    return digest.digest()


def _import(file: IO[bytes]) -> Response:
    conn, rows = g.db, _Rows(_rows_of(file))
    site_import.begin_import(conn)
    with long_computation() as pause:
        site_import.stage(conn, rows, pause)
    bad = sorted([*rows.bad, *site_import.find_bad_rows(conn, MOST_BAD_ROWS)])
    if bad:
        raise _refusal(bad)
    imported = site_import.write_sites(conn)
    unchanged = rows.count - imported.created - imported.updated
    return json_response({**imported._asdict(), "unchanged": unchanged})


def _rows_of(file: IO[bytes]) -> Iterator[Row]:
    if request.mimetype == _JSON_LINES:
        return json_rows(file, current_app.json.loads)
    given = {name: schema["type"] for name, schema in site_properties().items()}
    try:
        return csv_rows(
            file, {**given, **dict.fromkeys(_OWN_MEMBERS, "string")}, ["name"], current_app.json.loads
        )
    except BadHeader as exc:
        raise _refusal([exc.fault]) from None


def _refusal(bad: list[BadRow]) -> Problem:
    count = f"{MOST_BAD_ROWS} rows or more" if len(bad) >= MOST_BAD_ROWS else f"{len(bad)} of the rows"
    named = [
        row._replace(field=row.field and row.field[:_LONGEST_FIELD])._asdict() for row in bad[:MOST_BAD_ROWS]
    ]
    return Problem(400, f"{count} cannot be taken. Nothing was stored.", errors=named)


class _Rows:
    """The rows of a file on their way to the database; those that are no sites stay behind."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self.bad: list[BadRow] = []
        self.count = 0

    def __iter__(self) -> Iterator[StagedRow]:
        fault_of = site_schema().fault
        for line, values in self._rows:
            staged = values if isinstance(values, BadRow) else _staged(line, values, fault_of)
            if isinstance(staged, BadRow):
                self.bad.append(staged)
                if len(self.bad) == MOST_BAD_ROWS:
                    return
            else:
                self.count += 1
                yield staged


class _Unfit(Exception):
    """What is wrong with a site: a field, or None for the whole of it, and the reason."""

    def __init__(self, field: str | None, reason: str) -> None:
        super().__init__(reason)
        self.field = field


def _staged(line: int, values: dict[str, Any], fault_of: Callable[[Any], Fault | None]) -> StagedRow | BadRow:
    """The row as the database takes it, if it is a site. Null is nothing said, as in an export."""
    site = {name: value for name, value in values.items() if value is not None}
    try:
        site_id = None if site.keys().isdisjoint(_OWN_MEMBERS) else _taken_id(site)
        _check(site, fault_of)
        row = _texts(line, site_id, site)
        "".join(filter(None, row)).encode()
    except _Unfit as exc:
        return BadRow(line, exc.field, str(exc))
    except UnicodeEncodeError:
        return BadRow(line, None, "holds half of a surrogate pair, which is no text")
    return row


def _taken_id(site: dict[str, Any]) -> str | None:
    given = [site.pop(name, None) for name in ("created_at", "updated_at", "id")][-1]
    if given is not None and not (isinstance(given, str) and _UUID.fullmatch(given)):
        raise _Unfit("id", "is no UUID")
    return given


_UUID = re.compile("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _check(site: dict[str, Any], fault_of: Callable[[Any], Fault | None]) -> None:
    if ("lat" in site) is not ("lon" in site):
        raise _Unfit("lon" if "lat" in site else "lat", "is required: lat and lon go together")
    fault = fault_of(site)
    if fault is not None:
        raise _Unfit(str(fault.path[0]) if fault.path else None, fault.text)


def _texts(line: int, site_id: str | None, site: dict[str, Any]) -> StagedRow:
    """In the order of STAGED."""
    get = site.get
    country, name = get("country"), site["name"]
    return (
        str(line),
        site_id,
        get("external_id"),
        name,
        search_key(name),
        array_literal(get("tags", ())),
        array_literal(get("address_lines", ())),
        _number(get("city_id")),
        get("city"),
        None if country is None else country.upper(),
        _number(get("lat")),
        _number(get("lon")),
        get("opening_hours"),
        get("phone"),
        get("url"),
        _attributes(get("attributes")),
    )


def _number(value: float | None) -> str | None:
    return None if value is None else repr(value)


def _attributes(value: dict[str, Any] | None) -> str:
    if not value:
        return "{}"
    try:
        text = dumps(value)
    except (ValueError, RecursionError):
        raise _Unfit("attributes", "holds what is no number to JSON, or is nested too deeply") from None
    if len(text.encode()) > MOST_ATTRIBUTES:
        raise _Unfit("attributes", f"is larger than {MOST_ATTRIBUTES} bytes of JSON")
    if "\\u0000" in text and _NUL.search(text):
        raise _Unfit("attributes", "holds the character NUL, which cannot be stored")
    return text


_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
