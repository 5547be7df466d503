"""The ledger's service with a hook of somebody's own that fails: `X-Fail` has the teardown of its context raise."""

from pathlib import Path

from flask import Blueprint, g, request

from swagger_server.startup import load_application
from tests import second_spec

hooks = Blueprint("hooks", __name__)


@hooks.before_app_request
def note() -> None:
    g.fails = "X-Fail" in request.headers


@hooks.get("/beside-the-spec")
def page() -> str:
    with g.db.cursor() as cur:
        cur.execute("SELECT 1")
    return "page"


def fail(_exc: BaseException | None) -> None:
    if g.get("fails"):
        raise ValueError("the teardown of the app's own")


hooks.record_once(lambda state: state.app.teardown_appcontext(fail))

application = load_application(Path(second_spec.__file__).with_name("openapi.yaml"), blueprints=[hooks])
