"""Controllers that tell who they were told is calling."""

from typing import Any


def get(user: str, token_info: dict[str, Any]) -> dict[str, Any]:
    return {"user": user, "scopes": token_info["scopes"], "sub": token_info["sub"]}


def post(user: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"user": user, "body": body}


def put(user: str) -> dict[str, Any]:
    return {"user": user}


patch = delete = search = by_token = by_both = by_either = put


def maybe(user: str | None = None) -> dict[str, Any]:
    return {"user": user}


def open_to_all() -> dict[str, Any]:
    return {"user": None}
