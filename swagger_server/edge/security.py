"""Which operations ask who is calling, how, and for what: read from the specs when the application is built."""

from collections.abc import Iterable, Mapping
from typing import Any

from swagger_server.edge.operations import operations

_REQUIRED_SCOPE = "x-required-scope"

_HTTP_SCHEMES = {"basic": "Basic", "bearer": "Bearer"}


def required_scopes(specs: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The scope that an operation asks for in so many words, by its operationId."""
    return {
        name: operation[_REQUIRED_SCOPE]
        for spec in specs
        for _, _, name, operation in operations(spec)
        if _REQUIRED_SCOPE in operation
    }


def challenges(specs: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """How a caller may say who it is, as in WWW-Authenticate, by the operationId of each secured operation."""
    return {
        name: _challenge(spec, required)
        for spec in specs
        for _, _, name, operation in operations(spec)
        if (required := operation.get("security", spec.get("security")))
    }


def _challenge(spec: Mapping[str, Any], required: Iterable[Mapping[str, Any]]) -> str:
    schemes = _schemes(spec)
    names = dict.fromkeys(name for alternative in required for name in alternative)
    return ", ".join(dict.fromkeys(_one_challenge(schemes.get(name, {})) for name in names))


def _schemes(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (
        spec.get("components", {}).get("securitySchemes") or spec.get("securityDefinitions") or {}
    )
    return found


def _one_challenge(scheme: Mapping[str, Any]) -> str:
    """For a key there is no scheme that is registered: this says where it goes."""
    if scheme.get("type") == "apiKey":
        return f'ApiKey in="{scheme.get("in")}", name="{scheme.get("name")}"'
    return _HTTP_SCHEMES.get(str(scheme.get("scheme", scheme.get("type"))).lower(), "Bearer")


def ways(specs: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """How a caller may say who it is, as a sentence, by the operationId of each secured operation."""
    return {
        name: f"Say who is calling, by {_ways(spec, required)}."
        for spec in specs
        for _, _, name, operation in operations(spec)
        if (required := operation.get("security", spec.get("security")))
    }


def _ways(spec: Mapping[str, Any], required: Iterable[Mapping[str, Any]]) -> str:
    schemes = _schemes(spec)
    together = (" and ".join(_way(schemes.get(name, {})) for name in alternative) for alternative in required)
    return ", or by ".join(dict.fromkeys(filter(None, together)))


_PLACES = {"header": "header", "query": "query parameter", "cookie": "cookie"}


def _way(scheme: Mapping[str, Any]) -> str:
    if scheme.get("type") == "apiKey":
        return f"the {_PLACES.get(str(scheme.get('in')), 'header')} {scheme.get('name')}"
    return f"the header Authorization: {_one_challenge(scheme)}"


def credential_headers(specs: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The headers, in lower case, in which a caller says who he is."""
    schemes = [
        scheme
        for spec in specs
        for scheme in spec.get("components", {}).get("securitySchemes", {}).values()
        if isinstance(scheme, Mapping)
    ]
    return frozenset(_header_of(scheme) for scheme in schemes if scheme.get("in") != "query")


def _header_of(scheme: Mapping[str, Any]) -> str:
    if scheme.get("type") != "apiKey":
        return "authorization"
    return "cookie" if scheme.get("in") == "cookie" else str(scheme.get("name")).lower()
