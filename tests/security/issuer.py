"""An issuer of tokens: its keys, what it signs, and its key set over HTTP."""

import base64
import functools
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

ISSUER, AUDIENCE = "https://login.example", "places"


@functools.cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """The private key of that name."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@functools.cache
def ec_key(name: str) -> ec.EllipticCurvePrivateKey:
    """The private key of that name."""
    return ec.generate_private_key(ec.SECP256R1())


def key_set(*names: str, **more: Any) -> dict[str, Any]:
    """The public halves of RSA keys "r..." and elliptic ones "e..."; `more` are further members of each."""
    return {"keys": [{**_public(name), "kid": name, **more} for name in names]}


def token(name: str = "r1", header: Mapping[str, Any] | None = None, **changes: Any) -> str:
    """A token that is good for an hour, for ada and with all scopes; what is None is left out."""
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "ada",
        "scope": "openid admin",
        "exp": int(time.time()) + 3600,
        **changes,
    }
    claims = {claim: value for claim, value in claims.items() if value is not None}
    key, algorithm = (rsa_key(name), "RS256") if name.startswith("r") else (ec_key(name), "ES256")
    said = {"kid": name, **(header or {})}
    headers = {member: value for member, value in said.items() if value is not None}
    return jwt.encode(claims, key, algorithm=algorithm, headers=headers)


def forged(header: Mapping[str, Any], claims: Mapping[str, Any], signature: bytes = b"") -> str:
    """A token that no library would make."""
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def _public(name: str) -> dict[str, Any]:
    if name.startswith("r"):
        return dict(RSAAlgorithm.to_jwk(rsa_key(name).public_key(), as_dict=True))
    return dict(ECAlgorithm.to_jwk(ec_key(name).public_key(), as_dict=True))


class Endpoint:
    """Where the key set is; `keys` is what it answers, None for an error, and `asked` how often it was."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.url = f"http://127.0.0.1:{server.server_port}/jwks"
        self.keys: dict[str, Any] | None = key_set("r1", "e1")
        self.redirect: str | None = None
        """Where it sends those who ask, if anywhere."""
        self.asked = 0


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    """A key set over HTTP, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked += 1
            body = json.dumps(found.keys).encode()
            self.send_response(500 if found.keys is None else 302 if found.redirect else 200)
            if found.redirect:
                self.send_header("Location", found.redirect)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Endpoint(server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
