"""/sites: an owner's own places, found, nearest to a point, and written."""

import json
from collections.abc import Callable
from typing import Any

from flask import Response, g, request
from psycopg2.errors import UniqueViolation
from werkzeug.urls import iri_to_uri

from swagger_server import db, idempotency, paging
from swagger_server.controllers.parameters import require_numbers, typed, upper
from swagger_server.controllers.site_input import site_schema, values_of
from swagger_server.encoder import json_response
from swagger_server.preconditions import etag, require_if_match, require_version
from swagger_server.problems import NotFound, Problem
from swagger_server.queries import sites
from swagger_server.queries.sites import Stored
from swagger_server.rows import NOTHING

Site = dict[str, Any]
"""A site as it is given, without what it has not."""


def search(
    user: str,
    limit: int,
    cursor: str | None = None,
    q: str | None = None,
    country: str | None = None,
    near: str | None = None,
    radius_km: float | None = None,
    tag: str | None = None,
    external_id: str | None = None,
) -> Response:
    """GET /sites"""
    require_numbers(radius_km=radius_km)
    key = None if q is None else typed(q)
    if q is not None and key is None:
        return paging.page_response(NOTHING)
    _act_for(user)
    page = sites.list_sites(
        g.db,
        limit,
        paging.after(cursor, str, str),
        q=key,
        country=upper(country),
        near=None if near is None else _point(near),
        radius_km=radius_km,
        tag=tag,
        external_id=external_id,
    )
    return paging.page_response(page)


def nearest(
    user: str,
    lat: float,
    lon: float,
    limit: int,
    cursor: str | None = None,
    radius_km: float | None = None,
    country: str | None = None,
    tag: str | None = None,
) -> Response:
    """GET /sites/nearest"""
    require_numbers(lat=lat, lon=lon, radius_km=radius_km)
    _act_for(user)
    after = paging.after(cursor, float, str)
    page = sites.nearest_sites(
        g.db, lat, lon, limit, after, radius_km=radius_km, country=upper(country), tag=tag
    )
    return paging.page_response(page)


def read(user: str, id_: str) -> Response:
    """GET /sites/{id}"""
    _act_for(user)
    return _answer(_found(id_, sites.find_site(g.db, id_)))


def create(user: str, body: Site) -> Response:
    """POST /sites"""
    values = values_of(_json(body))
    _act_for(user)
    return idempotency.once(lambda: _create(values))


def replace(user: str, id_: str, body: Site) -> Response:
    """PUT /sites/{id}"""
    values = values_of(_json(body))
    return _change(user, id_, lambda _: values)


def merge(user: str, id_: str, body: Site) -> Response:
    """PATCH /sites/{id}"""
    change = _json(body)
    return _change(user, id_, lambda known: values_of(_merged(known, change)))


def delete(user: str, id_: str) -> Response:
    """DELETE /sites/{id}"""
    _lock(user, id_)
    sites.remove_site(g.db, id_)
    return Response(status=204)


def _json(body: Any) -> Site:
    """The body; a body that does not say what it is arrives as bytes, though it was checked as JSON."""
    if not isinstance(body, dict):
        raise Problem(415, "The request has to say by Content-Type that its body is JSON.")
    return body


def _act_for(owner: str) -> None:
    db.act_as(sites.ROLE, owner=owner)


def _point(near: str) -> tuple[float, float]:
    lat, _, lon = near.partition(",")
    return float(lat), float(lon)


def _create(values: dict[str, Any]) -> Response:
    added = sites.add_site(g.db, values)
    if added is None:
        raise _conflict(values)
    site_id, stored = added
    location = iri_to_uri(f"{request.root_path}{request.path}/{site_id}")
    return _answer(stored, 201, Location=location)


def _change(user: str, site_id: str, values_from: Callable[[Stored], dict[str, Any]]) -> Response:
    values = values_from(_lock(user, site_id))
    try:
        stored = sites.replace_site(g.db, site_id, values)
    except UniqueViolation:
        g.db.rollback()  # nothing of this transaction is wanted but the reason
        raise _conflict(values) from None
    if stored is None:
        raise _conflict(values)
    return _answer(stored)


def _lock(user: str, site_id: str) -> Stored:
    """The site, of the version that the request is about, held until the end of the request."""
    require_if_match()
    _act_for(user)
    stored = _found(site_id, sites.lock_site(g.db, site_id))
    require_version(stored.version)
    return stored


def _merged(known: Stored, patch: Site) -> Site:
    """The site after a merge patch; Problem where that is none any more."""
    try:
        given = {name: value for name, value in json.loads(known.site).items() if value is not None}
        site: Site = _merge(given, patch)
        fault = site_schema().fault(site)
    except RecursionError:
        # How deep is too deep depends on who calls: it was stored by another worker class, or by no worker at all.
        raise Problem(409, "The site is nested too deeply to be merged. PUT replaces it.") from None
    if fault is not None:
        raise Problem(409, f"The site would not be valid with this change: {fault.text}")
    return site


def _merge(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge(merged.get(name), value)
    return merged


def _found(site_id: str, stored: Stored | None) -> Stored:
    if stored is None:
        raise NotFound(f"You have no site with the id {site_id}.")
    return stored


def _conflict(values: dict[str, Any]) -> Problem:
    """Why a site was not written: its external_id is another one's, or else its city is unknown."""
    external_id = values["external_id"]
    taken_by = None if external_id is None else sites.site_with_external_id(g.db, external_id)
    if taken_by is not None:
        return Problem(409, "Another site has this external_id.", id=taken_by)
    if values["city_id"] is not None and not sites.city_exists(g.db, values["city_id"]):
        return Problem(409, f"No city has the id {values['city_id']}.")
    return Problem(409, "Another request changed the same data at the same time. Please try again.")


def _answer(stored: Stored, status: int = 200, **headers: str) -> Response:
    return json_response(stored.site, status, {"ETag": etag(stored.version), **headers})
