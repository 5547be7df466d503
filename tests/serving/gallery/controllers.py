"""Controllers that tell what they were called with: parameters, bodies, requests, and odd signatures."""

import functools
from typing import Any

import connexion
import flask
from connexion import context, request
from connexion.context import operation

from tests.serving.gallery.record import described, note


def _echo(function: Any) -> Any:
    """A controller of the function's signature: it notes its arguments and answers with them."""

    @functools.wraps(function)
    def controller(**kwargs: Any) -> Any:
        note(function.__name__, **kwargs)
        function(**kwargs)
        return {name: repr(described(value)) for name, value in kwargs.items()}

    return controller


# Paths


@_echo
def text(text): ...


@_echo
def text_again(text): ...


@_echo
def unicode_path(text): ...


@_echo
def number(number): ...


@_echo
def decimal_number(number): ...


@_echo
def typed_number(number): ...


@_echo
def typed_number_more(number): ...


@_echo
def flag(flag): ...


@_echo
def path(path): ...


@_echo
def items(items): ...


@_echo
def some_name(some_name): ...


@_echo
def some_number(some_number): ...


@_echo
def colour(colour): ...


@_echo
def builtin_names(id=None, type=None, id_=None, type_=None): ...


@_echo
def camel_case(camelCase=None, camel_case=None): ...  # noqa: N803


@_echo
def first_second(first, second): ...


@_echo
def nothing(): ...


@_echo
def slash(): ...


@_echo
def no_slash(): ...


@_echo
def root(): ...


# Query parameters


@_echo
def scalars(
    text=None,
    number=None,
    ratio=None,
    flag=None,
    colour=None,
    size=None,
    code=None,
    limit=None,
    ratio_default=None,
    maybe="absent",
    empty=None,
): ...


@_echo
def required(needed, number): ...


@_echo
def arrays(
    plain=None, exploded=None, joined=None, piped=None, spaced=None, colours=None, flags=None, usual=None
): ...


@_echo
def deep(filter=None, page=None, filter_=None):
    if page:
        page["touched"] = True


@_echo
def content(document=None): ...


@_echo
def names(
    camelCase=None,  # noqa: N803
    camel_case=None,
    id=None,
    id_=None,
    class_=None,
    dashedname=None,
    dashed_name=None,
    top=None,
    in_brackets=None,
    in_brackets_=None,
): ...


@_echo
def keywords(**kwargs): ...


@_echo
def references(limit, colour=None): ...


# Headers and cookies


@_echo
def headers(): ...


@_echo
def required_header(): ...


@_echo
def cookies(): ...


@_echo
def required_cookie(): ...


# Bodies


@_echo
def person(body): ...


@_echo
def named_body(person): ...


@_echo
def schema_named_body(changes=None, body=None): ...


@_echo
def optional_body(body): ...


@_echo
def nullable_body(body): ...


@_echo
def default_body(body):
    body["touched"] = True  # the spec's default must not keep it


@_echo
def any_body(body): ...


@_echo
def list_body(body): ...


@_echo
def scalar_body(body): ...


@_echo
def composed_body(body): ...


@_echo
def formats_body(body): ...


@_echo
def tree_body(body): ...


@_echo
def ignored_body(): ...


@_echo
def body_keywords(text, **kwargs): ...


@_echo
def undescribed_body(body="default"): ...


@_echo
def vendor_body(body): ...


@_echo
def form(body): ...


@_echo
def closed_form(body): ...


@_echo
def encoded_form(body): ...


@_echo
def form_parts(body): ...


@_echo
def upload(file, body): ...


@_echo
def uploads(files=None, other=None, body=None): ...


@_echo
def upload_keywords(**kwargs): ...


@_echo
def text_body(body): ...


@_echo
def bytes_body(body): ...


@_echo
def several_bodies(body): ...


@_echo
def whatever_body(body): ...


@_echo
def image_body(body): ...


# What a controller can see


def flask_request(text, number):
    seen = {
        "args": flask.request.args.to_dict(flat=False),
        "headers": sorted((name.lower(), value) for name, value in flask.request.headers),
        "rule": str(flask.request.url_rule),
        "view_args": repr(flask.request.view_args),
        "endpoint": flask.request.endpoint,
        "blueprint": flask.request.blueprint,
        "path": flask.request.path,
        "full_path": flask.request.full_path,
        "script_root": flask.request.script_root,
        "base_url": flask.request.base_url,
        "url": flask.request.url,
        "url_root": flask.request.url_root,
        "method": flask.request.method,
        "cookies": dict(flask.request.cookies),
        "remote_addr": flask.request.remote_addr,
        "scheme": flask.request.scheme,
        "host": flask.request.host,
        "query_string": flask.request.query_string.decode("latin-1"),
        "authorization": repr(flask.request.authorization),
        "accept": str(flask.request.accept_mimetypes),
        "content_length": flask.request.content_length,
        "form": flask.request.form.to_dict(flat=False),
        "files": described(flask.request.files.to_dict(flat=False)),
        "json": flask.request.get_json(silent=True),
        "data": flask.request.get_data().decode("latin-1"),
    }
    note("flask_request", text=text, number=number, **seen)
    return seen


flask_request_post = flask_request


def connexion_request(text, number=None):
    seen = {
        "path_params": described(request.path_params),
        "query_params": described(request.query_params),
        "method": request.method,
        "path": request.url.path,
        "query": request.url.query,
        "headers": sorted(request.headers.items()),
        "cookies": request.cookies,
        "content_type": request.content_type,
        "mimetype": request.mimetype,
        "scheme": request.scope["scheme"],
        "root_path": request.scope.get("root_path"),
        "client": request.client and list(request.client),
        "routing": request.scope["extensions"]["connexion_routing"],
        "context": dict(context),
        "operation": [operation.operation_id, operation.method, operation.path],
        "app": type(connexion.request).__name__,
    }
    note("connexion_request", text=text, number=number, **seen)
    return seen


connexion_request_post = connexion_request


def after_this():
    @flask.after_this_request
    def mark(response):
        note("after_this_request")
        response.headers["X-After-This"] = flask.g.begun
        return response

    flask.g.by_controller = "left for the hooks"
    return {"begun": flask.g.begun}


def count_visits():
    flask.session["visits"] = flask.session.get("visits", 0) + 1
    return {"visits": flask.session["visits"]}


def urls():
    return {
        "own": flask.url_for(".tests_serving_gallery_controllers_number", number=3),
        "with_query": flask.url_for(".tests_serving_gallery_controllers_urls", text="a b"),
        "external": flask.url_for(".tests_serving_gallery_controllers_text", text="a/b", _external=True),
        "page": flask.url_for("pages.page", name="x"),
    }


# Ways to write one


async def asynchronous(number=None):
    note("asynchronous", number=number)
    return {"number": number}


def _doubling(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        note("wrapper", args=args, kwargs=kwargs)
        return [function(*args, **kwargs)] * 2

    return wrapper


@_doubling
def decorated(number=None):
    note("decorated", number=number)
    return number


class Shelf:
    @staticmethod
    def read(number=None):
        note("Shelf.read", number=number)
        return {"number": number}


def own_defaults(number=42, text="own", *, other="keyword only"):
    note("own_defaults", number=number, text=text, other=other)
    return [number, text, other]


def missing_argument(nobody_gives_this):
    note("missing_argument")
    return nobody_gives_this


def routed():
    note("routed")
    return "routed"


def with_context(context_, user=None, token_info=None):
    note("with_context", context_=dict(context_), user=user, token_info=token_info)
    return {"user": user, "token_info": token_info}


def mutates(usual):
    note("mutates", usual=usual)
    usual.append(99)
    return usual


@_echo
def method_get(): ...


@_echo
def method_post(): ...


def method_delete():
    note("method_delete")
    return connexion.NoContent, 204


@_echo
def method_options(): ...


@_echo
def method_trace(): ...


@_echo
def method_head(): ...


@_echo
def only_post(): ...


def keyed(user, number=None):
    note("keyed", user=user, number=number)
    return {"user": user, "number": number}
