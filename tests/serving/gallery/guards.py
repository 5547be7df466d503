"""Who is calling: security functions of every kind, and controllers that tell what they were given."""

import asyncio

from connexion.exceptions import OAuthProblem

from tests.serving.gallery.record import note

_USERS = {"ada-key": {"sub": "ada"}, "bob-key": {"uid": "bob", "scopes": ["read"]}}
_TOKENS = {
    "reader": {"sub": "rita", "scope": "read"},
    "writer": {"sub": "walt", "scope": ["read", "write"]},
    "nobody": {},
}


def check_key(key, required_scopes=None):
    note("check_key", key=key, required_scopes=required_scopes)
    if key == "banned":
        raise OAuthProblem(detail="This key was banned")
    if key == "broken":
        raise ValueError("the key store fell over")
    return _USERS.get(key)


def check_key_with_request(key, request):
    note("check_key_with_request", key=key, path=request.url.path, method=request.method)
    request.context["seen_by_guard"] = True
    return _USERS.get(key)


def check_basic(username, password):
    note("check_basic", username=username, password=password)
    return {"sub": username} if password == "secret" else None


def check_bearer(token):
    note("check_bearer", token=token)
    return _TOKENS.get(token)


async def check_bearer_async(token):
    note("check_bearer_async", token=token)
    await asyncio.sleep(0)
    if token == "banned":
        raise OAuthProblem(detail="This token was banned")
    return _TOKENS.get(token)


def token_info(token):
    note("token_info", token=token)
    return _TOKENS.get(token)


def has_scopes(required_scopes, token_scopes):
    note("has_scopes", required_scopes=required_scopes, token_scopes=token_scopes)
    return "write" in token_scopes


def whoami(user, token_info):
    note("whoami", user=user, token_info=token_info)
    return {"user": user, "token_info": token_info}


def whoami_open(user="default"):
    note("whoami_open", user=user)
    return {"user": user}


def whoami_with_request(context_, seen_by_guard=None):
    note("whoami_with_request", context_=dict(context_), seen_by_guard=seen_by_guard)
    return {"seen": seen_by_guard}


def arguments(user):
    note("arguments", user=user)
    return {"user": user}


def keywords(**kwargs):
    note("keywords", **kwargs)
    return sorted(kwargs)


def invalid_first(number):
    note("invalid_first", number=number)
    return number


whoami_optional = whoami_nobody_first = whoami_query = whoami_cookie = whoami_basic = whoami_bearer = whoami
whoami_async = whoami_async_post = whoami_read = whoami_write = whoami_own_scopes = whoami
whoami_and = whoami_or = whoami_and_or = whoami
