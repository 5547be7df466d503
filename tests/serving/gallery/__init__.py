"""A Connexion app that uses every feature, to be run by this project and by Connexion itself.

Owns the app: its specs, hooks, error handlers and pages outside the spec. What happens is noted in
`record`, so that two runs can be compared by more than their answers.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import connexion
import flask
from connexion.lifecycle import ConnexionRequest, ConnexionResponse

from tests.serving.gallery.answers import FlaskError, OwnAsyncError, OwnError
from tests.serving.gallery.record import note

HERE = Path(__file__).parent


def gallery_app(validator_map: Mapping[str, Any] | None = None) -> connexion.FlaskApp:
    """The app: the gallery leniently at /gallery and strictly at /strict, /secured, and Swagger 2 at /old."""
    app = connexion.FlaskApp(__name__, specification_dir=HERE)
    app.app.secret_key = "for cookies of tests"
    _add_hooks(app.app)
    _add_pages(app.app)
    options: dict[str, Any] = {} if validator_map is None else {"validator_map": validator_map}
    app.add_api("gallery.yaml", **options)
    strict = {"strict_validation": True, "pythonic_params": True, "validate_responses": True}
    app.add_api("gallery.yaml", base_path="/strict", **strict, **options)
    app.add_api("secured.yaml", strict_validation=True, **options)
    app.add_api("old.yaml", strict_validation=True, validate_responses=True, **options)
    app.add_error_handler(OwnError, _own_error)
    app.add_error_handler(OwnAsyncError, _own_async_error)
    app.add_error_handler(418, _teapot)
    return app


def _own_error(request: ConnexionRequest, exc: Exception) -> ConnexionResponse:
    note("own error handler", exc=exc, path=request.url.path, query=request.url.query)
    return ConnexionResponse(
        status_code=422, mimetype="application/json", body=f'{{"own": "{exc}"}}', headers={"X-Own": "handler"}
    )


async def _own_async_error(request: ConnexionRequest, exc: Exception) -> ConnexionResponse:
    note("own async error handler", exc=exc, path=request.url.path)
    return ConnexionResponse(status_code=424, content_type="text/plain", body=f"async {exc}")


def _teapot(request: ConnexionRequest, exc: Exception) -> ConnexionResponse:
    note("teapot handler", exc=type(exc))
    return ConnexionResponse(status_code=418, mimetype="text/plain", body="a teapot")


def _add_hooks(app: flask.Flask) -> None:
    @app.before_request
    def begin() -> Any:
        note("before_request", path=flask.request.path, endpoint=flask.request.endpoint)
        flask.g.begun = "begun"
        if flask.request.headers.get("X-Stop") == "raise":
            raise OwnError("before_request")
        if flask.request.headers.get("X-Stop"):
            return {"stopped": True}, 203
        return None

    @app.after_request
    def end(response: flask.Response) -> flask.Response:
        note("after_request", status=response.status_code, left=flask.g.get("by_controller"))
        response.headers["X-Hook"] = flask.g.get("begun", "not begun")
        return response

    @app.teardown_request
    def tear_down_request(exc: BaseException | None) -> None:
        note("teardown_request", exc=exc)

    @app.teardown_appcontext
    def tear_down_context(exc: BaseException | None) -> None:
        note("teardown_appcontext", exc=exc, begun=flask.g.get("begun"))

    @app.errorhandler(FlaskError)
    def answer(exc: FlaskError) -> Any:
        note("flask's error handler", exc=exc)
        return {"flask": str(exc)}, 423


def _add_pages(app: flask.Flask) -> None:
    pages = flask.Blueprint("pages", __name__, url_prefix="/pages")

    @pages.get("/page/<name>")
    def page(name: str) -> Any:
        note("page", name=name, url=flask.request.url)
        return f"<p>{name}</p>"

    @pages.post("/page/<name>")
    def post(name: str) -> Any:
        return {
            "name": name,
            "form": flask.request.form.to_dict(),
            "json": flask.request.get_json(silent=True),
        }

    @pages.get("/slash/")
    def slash() -> Any:
        return "slash"

    @pages.get("/raise")
    def fail() -> Any:
        raise OwnError("in a page")

    app.register_blueprint(pages)
