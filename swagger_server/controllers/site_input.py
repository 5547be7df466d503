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
    return compile_schema(_site_input())


@cache
def site_properties() -> dict[str, Any]:
    """The schemas of its members, by their names; asked for as `site_schema`."""
    properties: dict[str, Any] = _site_input()["properties"]
    return properties


def _site_input() -> dict[str, Any]:
    schema: dict[str, Any] = context.operation.components["schemas"]["SiteInput"]
    return schema


def values_of(site: dict[str, Any]) -> dict[str, Any]:
    """The values to store of a site that fits the schema; BadRequest for attributes that are too large, or no JSON."""
    try:
        size = len(dumps(site.get("attributes", {})).encode())
        values = given(site)
    except ValueError:
        raise BadRequest("attributes holds what is no number or no text to JSON.") from None
    except RecursionError:
        raise BadRequest("attributes is nested too deeply.") from None
    if size > MOST_ATTRIBUTES:
        raise BadRequest(f"attributes is larger than {MOST_ATTRIBUTES} bytes of JSON.")
    return values
