"""Bearer tokens: which are taken, over HTTP and where the clock can be turned."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from swagger_server.config import JwtSettings
from swagger_server.security.errors import KeysUnavailable, TokenRefused
from swagger_server.security.key_sets import COOLDOWN, LIFESPAN, RETRY, STALE, KeySet, source
from swagger_server.security.tokens import Tokens
from tests.service.conftest import environment_for
from tests.support.process import OWN_WORKER, Gunicorn, start_gunicorn
from tests.support.servers import Database, free_port

from .conftest import Make, ask, make_key
from .issuer import AUDIENCE, ISSUER, ec_key, endpoint, forged, key_set, rsa_key, token

SETTINGS = JwtSettings(jwks="unused", issuer=ISSUER, audience=AUDIENCE)


@pytest.fixture(scope="module", params=["gthread", OWN_WORKER])
def taking(
    request: pytest.FixtureRequest, database_of_keys: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gunicorn]:
    """A service that takes the tokens of the issuer, whose key set is in a file."""
    keys = tmp_path_factory.mktemp("keys") / "jwks.json"
    keys.write_text(json.dumps(key_set("r1", "e1")))
    env = environment_for(
        {"default": database_of_keys},
        JWT_JWKS=str(keys),
        JWT_ISSUER=ISSUER,
        JWT_AUDIENCE=AUDIENCE,
        SERVER_LOG_LEVEL="DEBUG",
    )
    with start_gunicorn("-k", request.param, "-w", "1", "--threads", "4", env=env) as service:
        yield service


def bearing(service: Gunicorn, text: str, method: str = "GET", path: str = "/keys", **headers: str):
    return ask(service, None, method, path, Authorization=f"Bearer {text}", **headers)


@pytest.mark.parametrize("headers", [{}, {"Upgrade": "h2c"}], ids=["compiled", "passed-through"])
@pytest.mark.parametrize("name", ["r1", "e1"])
def test_a_token_opens_what_is_its_owners(taking: Gunicorn, make: Make, name: str, headers: dict[str, str]):
    owner = f"token owner {name} {len(headers)} {taking.pid}"
    _, key_id = make(owner)
    make("somebody else")
    answer = bearing(taking, token(name, sub=owner), **headers)
    assert [item["id"] for item in answer.json()["items"]] == [key_id]
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert bearing(taking, token(name, sub=owner), "DELETE", f"/keys/{key_id}").status_code == 204
    assert bearing(taking, token(name, sub=owner), "DELETE", f"/keys/{make('bob')[1]}").status_code == 404


def test_a_scope_that_a_token_lacks_is_named(taking: Gunicorn):
    for scope in ("read write", "", None, ["read"], "administrator", 7, "ADMIN"):
        answer = bearing(taking, token(scope=scope))
        assert (answer.status_code, answer.json()["detail"]) == (403, "This needs the scope admin."), scope
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="admin"'
    assert bearing(taking, token(scope=["read", "admin"])).status_code == 200


def test_a_wrong_token_is_refused_and_told_to_nobody(taking: Gunicorn):
    wrong = [
        token(exp=int(time.time()) - 60),
        token(iss="https://evil.example"),
        token("r2"),
        token("r2", header={"kid": "r1"}),
        forged({"alg": "none", "kid": "r1"}, {"sub": "ada", "exp": time.time() + 60}),
        "nonsense-that-is-no-token",
        "x" * 5000,
    ]
    for text in wrong:
        answer = bearing(taking, text)
        assert answer.status_code == 401, text
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
        assert answer.json()["detail"].startswith("This token is not good: ")
        assert text not in answer.text + taking.log()
        assert text.rpartition(".")[0][-30:] not in taking.log() or "." not in text


def test_a_key_or_a_token_will_do(taking: Gunicorn, make: Make):
    key, _ = make()
    assert ask(taking, key, Authorization="Bearer nonsense").status_code == 200
    assert ask(taking, "nonsense", Authorization=f"Bearer {token()}").status_code == 200
    assert ask(taking, "nonsense", Authorization="Bearer nonsense").status_code == 401
    assert ask(taking, None, Authorization="Bearer").status_code == 401
    assert ask(taking, None, Authorization="Basic YTpi").status_code == 401


def test_without_a_key_set_no_token_is_taken(service: Gunicorn):
    answer = bearing(service, token())
    assert (answer.status_code, answer.json()["detail"]) == (401, "This service takes no bearer tokens.")


def test_while_the_keys_cannot_be_had_nobody_is_told_that_the_token_is_wrong(database_of_keys: Database):
    env = environment_for(
        {"default": database_of_keys},
        JWT_JWKS=f"http://127.0.0.1:{free_port()}/jwks",
        JWT_ISSUER=ISSUER,
        JWT_AUDIENCE=AUDIENCE,
    )
    with start_gunicorn("-w", "1", env=env) as service:
        answer = bearing(service, token())
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert "WWW-Authenticate" not in answer.headers
        # Those with a key are none the worse for it.
        assert ask(service, make_key(database_of_keys)[0]).status_code == 200


# What is in a token


def claims_of(text: str) -> dict[str, object]:
    keys = key_set("r1", "e1")
    return dict(Tokens(SETTINGS, KeySet(lambda: keys)).claims(text))


def public_pem(name: str) -> bytes:
    return (
        rsa_key(name)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


NOW = int(time.time())
GOOD = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "scope": "admin", "exp": NOW + 3600}


def hmac_with_public_key() -> str:
    """The library refuses to sign so; what it would be is made by hand."""
    import base64
    import hashlib
    import hmac

    head = forged({"alg": "HS256", "kid": "r1", "typ": "JWT"}, GOOD).rpartition(".")[0]
    signature = hmac.new(public_pem("r1"), head.encode(), hashlib.sha256).digest()
    return f"{head}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


ALGORITHM = "it is signed by an algorithm that is not taken"
READ = "it cannot be read"
LACKS = "it lacks a claim that is required"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (lambda: forged({"alg": "none", "kid": "r1"}, GOOD), ALGORITHM),
        (lambda: forged({"alg": "NONE", "kid": "r1"}, GOOD), ALGORITHM),
        (lambda: forged({"kid": "r1"}, GOOD), ALGORITHM),
        (hmac_with_public_key, ALGORITHM),
        (lambda: jwt.encode(GOOD, "x" * 32, "HS256", {"kid": "r1"}), ALGORITHM),
        (lambda: jwt.encode(GOOD, rsa_key("r1"), "RS512", {"kid": "r1"}), ALGORITHM),
        (lambda: jwt.encode(GOOD, rsa_key("r1"), "PS256", {"kid": "r1"}), ALGORITHM),
        (lambda: jwt.encode(GOOD, ec_key("e1"), "ES256", {"kid": "r1"}), ALGORITHM),
        (lambda: token("r2", header={"kid": "r1"}), "its signature is wrong"),
        (lambda: token()[:-8] + "AAAAAAAA", "its signature is wrong"),
        (lambda: token("r2"), "it is signed with a key that is not known"),
        (lambda: token(header={"kid": None}), "it is signed with a key that is not known"),
        (lambda: forged({"alg": "RS256", "kid": 7}, GOOD), READ),
        (lambda: forged({"alg": "RS256", "kid": None}, GOOD), READ),
        (lambda: token(iss="https://login.example/"), "it is of another issuer"),
        (lambda: token(aud="other"), "it is for another audience"),
        (lambda: token(aud=["other", "more"]), "it is for another audience"),
        (lambda: token(exp=NOW - 60), "it has expired"),
        (lambda: token(nbf=NOW + 600), "it is not valid yet"),
        (lambda: token(iat=NOW + 600), "it is not valid yet"),
        (lambda: token(exp=None), LACKS),
        (lambda: token(iss=None), LACKS),
        (lambda: token(aud=None), LACKS),
        (lambda: token(sub=None), LACKS),
        (lambda: token(exp="soon"), READ),
        (lambda: token(header={"crit": ["x"], "x": 1}), READ),
        (lambda: "", READ),
        (lambda: "...", READ),
        (lambda: "a.b.c", READ),
        (lambda: "\u00e9.\u00e9.\u00e9", READ),
        (lambda: token().replace(".", "", 1), READ),
        (lambda: forged({"alg": ["RS256"]}, GOOD), ALGORITHM),
        (lambda: "x" * 9000, "it is too long"),
        (lambda: token(more="x" * 9000), "it is too long"),
    ],
)
def test_what_makes_a_token_bad(text, reason: str):
    with pytest.raises(TokenRefused) as caught:
        claims_of(text())
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    "text",
    [
        lambda: token(),
        lambda: token("e1"),
        lambda: token(aud=["other", AUDIENCE]),
        lambda: token(exp=int(time.time()) - 3),
        lambda: token(nbf=int(time.time()) + 3),
    ],
)
def test_what_makes_a_token_good(text):
    assert claims_of(text())["sub"] == "ada"


@pytest.mark.parametrize("owner", ["", "x" * 201, "a\0b", "\ud800"])
def test_a_claim_that_can_be_no_owner_is_refused(taking: Gunicorn, owner: str):
    answer = bearing(taking, token(sub=owner))
    assert (answer.status_code, answer.json()["detail"]) == (
        401,
        "This token is not good: its claim sub names no owner.",
    )


def test_keys_for_encryption_sign_nothing():
    tokens = Tokens(SETTINGS, KeySet(lambda: key_set("r1", use="enc")))
    with pytest.raises(TokenRefused, match="not known"):
        tokens.claims(token())


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("kid", ["same", None])
def test_keys_of_one_id_are_told_apart_by_their_kind(order: int, kid: str | None):
    keys = {"keys": [without_none({**key, "kid": kid}) for key in key_set("r1", "e1")["keys"]][::order]}
    tokens = Tokens(SETTINGS, KeySet(lambda: keys))
    for name in ("r1", "e1"):
        assert tokens.claims(token(name, header={"kid": kid}))["sub"] == "ada"
        with pytest.raises(TokenRefused, match="its signature is wrong"):
            tokens.claims(token(f"{name[0]}2", header={"kid": kid}))


def without_none(members: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in members.items() if value is not None}


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")  # of the one who signs
@pytest.mark.parametrize(("bits", "is_taken"), [(1024, False), (2048, True)])
def test_a_short_rsa_key_signs_nothing(bits: int, is_taken: bool):
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    keys = {"keys": [{**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "short"}]}
    signed = jwt.encode(GOOD, key, "RS256", {"kid": "short"})
    tokens = Tokens(SETTINGS, KeySet(lambda: keys))
    if is_taken:
        assert tokens.claims(signed)["sub"] == "ada"
    else:
        with pytest.raises(TokenRefused, match="not known"):
            tokens.claims(signed)


def test_a_set_of_one_key_needs_no_id():
    tokens = Tokens(SETTINGS, KeySet(lambda: key_set("r1")))
    assert tokens.claims(token(header={"kid": None}))["sub"] == "ada"


# When the keys are fetched


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_keys_are_kept_and_a_new_one_is_fetched_at_a_bounded_rate():
    with endpoint() as served:
        clock = Clock()
        keys = KeySet(source(served.url), clock)
        assert all(keys.key("r1", "RS256") for _ in range(100))
        assert served.asked == 1
        assert [keys.key(f"made-up-{number}", "RS256") for number in range(100)] == [None] * 100
        assert served.asked == 1
        served.keys = key_set("r2")
        clock.now += COOLDOWN + 1
        assert keys.key("r2", "RS256") is not None
        assert keys.key("r1", "RS256") is None
        assert served.asked == 2
        clock.now += LIFESPAN + 1
        assert keys.key("r2", "RS256") is not None
        assert served.asked == 3


def test_a_source_that_fails_leaves_the_keys_good_for_an_hour():
    with endpoint() as served:
        clock = Clock()
        keys = KeySet(source(served.url), clock)
        assert keys.key("r1", "RS256") is not None
        served.keys = None
        clock.now = LIFESPAN + 1
        assert all(keys.key("r1", "RS256") for _ in range(20))
        assert served.asked == 2
        # Whether there is such a key nobody knows now.
        with pytest.raises(KeysUnavailable):
            keys.key("r2", "RS256")
        assert served.asked == 2
        clock.now = STALE + 1
        for _ in range(20):
            with pytest.raises(KeysUnavailable):
                keys.key("r1", "RS256")
        assert served.asked == 3
        served.keys = key_set("r1")
        clock.now += RETRY + 1
        assert keys.key("r1", "RS256") is not None


@pytest.mark.parametrize("content", [{}, {"keys": []}, [], {"keys": [{"kty": "?"}]}, "text"])
def test_what_is_no_key_set_is_a_source_that_fails(content):
    with endpoint() as served:
        served.keys = content
        with pytest.raises(KeysUnavailable):
            KeySet(source(served.url)).key("r1", "RS256")


def test_nobody_is_followed_to_another_address():
    with endpoint() as served, endpoint() as other:
        served.redirect = other.url
        with pytest.raises(KeysUnavailable):
            KeySet(source(served.url)).key("r1", "RS256")
        assert (served.asked, other.asked) == (1, 0)


def test_many_that_need_keys_at_once_fetch_once():
    entered, go = threading.Event(), threading.Event()
    fetches = []

    def fetch():
        fetches.append(1)
        entered.set()
        assert go.wait(20)
        return key_set("r1")

    keys, found = KeySet(fetch), []
    threads = [threading.Thread(target=lambda: found.append(keys.key("r1", "RS256"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert entered.wait(20)
    go.set()
    for thread in threads:
        thread.join(20)
    assert len(fetches) == 1
    assert len(found) == 8
    assert all(found)


def test_a_file_is_read_again(tmp_path: Path):
    file, clock = tmp_path / "jwks.json", Clock()
    file.write_text(json.dumps(key_set("r1")))
    keys = KeySet(source(str(file)), clock)
    assert keys.key("r1", "RS256") is not None
    file.write_text(json.dumps(key_set("r2")))
    clock.now += COOLDOWN + 1
    assert keys.key("r2", "RS256") is not None
