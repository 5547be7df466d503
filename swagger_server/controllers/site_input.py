"""What the spec says of a site that is to be written, for values that did not come as an operation's body."""

from functools import cache
from typing import Any

from connexion import context

from swagger_server.encoder import dumps
from swagger_server.problems import BadRequest
from swagger_server.queries.sites import given
from swagger_server.serving import CompiledSchema, compile_schema

MOST_ATTRIBUTES = 16_384
"""Bytes that a site's attributes may have as compact JSON."""


@cache
def site_schema() -> CompiledSchema:
    """The schema SiteInput of the spec; to be asked for first while an operation of it is answered."""
    components: dict[str, Any] = context.operation.components
    return compile_schema(components["schemas"]["SiteInput"])


def values_of(site: dict[str, Any]) -> dict[str, Any]:
    """The values to store of a site that fits the schema; BadRequest for attributes that are too large, or no JSON."""
    try:
        size = len(dumps(site.get("attributes", {})).encode())
        values = given(site)
    except ValueError:
        raise BadRequest("attributes holds what is no number or no text to JSON.") from None
    if size > MOST_ATTRIBUTES:
        raise BadRequest(f"attributes is larger than {MOST_ATTRIBUTES} bytes of JSON.")
    return values
