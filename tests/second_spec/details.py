"""Controllers whose answers are unusual in HTTP: parts, cookies, broken streams, problems of all kinds."""

import io
from collections.abc import Iterator

from connexion.exceptions import ProblemException
from flask import Response, abort, send_file

from swagger_server.problems import NotFound, Problem

TEXT = b"0123456789" * 1000


def download():
    return send_file(io.BytesIO(TEXT), mimetype="text/plain", etag="the-text", conditional=True)


def cookie():
    answer = Response(f'{{"hello": "{"you" * 400}"}}', content_type="application/json")
    answer.set_cookie("visit", "1")
    answer.headers.add("Vary", "Accept")
    answer.headers.add("Vary", "Accept-Language")
    return answer


def secret_stream(user):
    return Response((f"{user} {number}\n" for number in range(3)), content_type="text/plain")


def check_nobody(key):
    abort(Response(f"not with {key}", 403))


def aborted():
    abort(Response("no tea", 418, {"X-Pot": "short"}))


def guarded(user):
    return {"user": user}


def broken_stream():
    def pieces() -> Iterator[str]:
        yield "the first piece\n"
        raise NotFound("There is no second piece.")

    return Response(pieces(), content_type="text/plain")


def lone_surrogate():
    raise NotFound("There is no \udc80.")


def unspeakable():
    raise Problem(409, "It carries what has no JSON form.", thing=object())


def out_of_credit():
    raise ProblemException(
        status=403,
        title="Out of credit",
        type="https://errors.example/credit",
        detail="The balance is 30.",
        ext={"balance": 30, "status": 999},
    )


def limited(limit):
    return {"limit": limit}
