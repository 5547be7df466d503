"""/keys: an owner's own API keys, to look through and to revoke."""

from flask import Response, g

from swagger_server import paging
from swagger_server.key_store import list_keys, revoke_key
from swagger_server.problems import NotFound


def search(user: str, limit: int, cursor: str | None = None) -> Response:
    """GET /keys"""
    return paging.page_response(list_keys(g.db, user, limit, paging.after(cursor, str, str)))


def revoke(user: str, id_: str) -> Response:
    """DELETE /keys/{id}"""
    if not revoke_key(g.db, id_, user):
        raise NotFound(f"You have no key with the id {id_}.")
    return Response(status=204)
