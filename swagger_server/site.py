"""What the service shows outside its spec: the front page, `/` as JSON, the way to Swagger UI.

About places; another service brings a blueprint of its own.
"""

from typing import Any

from flask import Blueprint, Response, g, redirect, request, send_from_directory
from werkzeug.wrappers import Response as WerkzeugResponse

from swagger_server import __version__
from swagger_server.encoder import json_response
from swagger_server.paths import STATIC
from swagger_server.rows import fetch

_SOURCES_SQL = "SELECT name, version FROM data_source ORDER BY name"

_LINKS = {
    "documentation": "v1/ui/",
    "specification": "v1/openapi.json",
    "cities": "v1/cities",
    "countries": "v1/countries",
    "airports": "v1/airports",
    "about": "v1/about",
    "ready": "health/ready",
}

blueprint = Blueprint("site", __name__)


@blueprint.get("/")
def index() -> Response:
    """The page for browsers, which comes up without the database and says then what is missing.

    Programs get JSON, once `select 1` has shown that the database answers.
    """
    accepted = request.accept_mimetypes
    answer = (
        send_from_directory(STATIC, "index.html")
        if accepted.best_match(["application/json", "text/html"]) == "text/html"
        else json_response(_describe())
    )
    answer.vary.add("Accept")
    answer.headers["Cache-Control"] = "no-cache"
    return answer


def _describe() -> dict[str, Any]:
    fetch(g.db, "select 1", {})
    sources: dict[str, str] = dict(fetch(g.db, _SOURCES_SQL, {}))
    links = {name: f"{request.url_root}{path}" for name, path in _LINKS.items()}
    return {
        "name": "swagger_server",
        "version": __version__,
        "data": sources,
        "database": "ok",
        "links": links,
    }


@blueprint.get("/static/<path:name>")
def static(name: str) -> Response:
    """The page's own files."""
    return send_from_directory(STATIC, name)


@blueprint.get("/ui/")
def swagger_ui() -> WerkzeugResponse:
    """Swagger UI lives beside the API that it documents."""
    return redirect(f"{request.root_path}/v1/ui/", 308)
