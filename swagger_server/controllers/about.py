"""/about: the service and where its data comes from."""

from flask import Response, g

from swagger_server import __version__
from swagger_server.encoder import dumps, json_response
from swagger_server.queries.about import list_sources


def read() -> Response:
    """GET /about"""
    sources = list_sources(g.db)
    return json_response(f'{{"name":"Places API","version":{dumps(__version__)},"sources":{sources}}}')
