"""Serving a Connexion FlaskApp to any gunicorn worker, WSGI or ASGI, from synchronous controllers.

Owns the way of a request from the server to the app and back: `Application` speaks both protocols and
runs every request on one thread from beginning to end (the worker's own under WSGI, one of a bounded
number under ASGI); `connexion_handler` makes a Connexion app such a synchronous `Handler`.
Must not know: the database, the settings, or what the API is about.
"""

from swagger_server.serving.application import Application
from swagger_server.serving.body_faults import BodyIncomplete, BodyStalled, BodyTooLarge, NoRoomForBody
from swagger_server.serving.connexion_app import ConnexionHandler, connexion_handler
from swagger_server.serving.large_bodies import LargeBodies
from swagger_server.serving.messages import Handler, OutOfTime, Request, Response, ServerBusy
from swagger_server.serving.schemas import CompiledSchema, Fault, compile_schema
from swagger_server.serving.spec_check import quick_spec_check
from swagger_server.serving.turns import NoTurn, Turns
from swagger_server.serving.validators import JSON_DEPTH, VALIDATORS, validators
from swagger_server.serving.whole_answer import WholeAnswer

__all__ = [
    "JSON_DEPTH",
    "VALIDATORS",
    "Application",
    "BodyIncomplete",
    "BodyStalled",
    "BodyTooLarge",
    "CompiledSchema",
    "ConnexionHandler",
    "Fault",
    "Handler",
    "LargeBodies",
    "NoRoomForBody",
    "NoTurn",
    "OutOfTime",
    "Request",
    "Response",
    "ServerBusy",
    "Turns",
    "WholeAnswer",
    "compile_schema",
    "connexion_handler",
    "quick_spec_check",
    "validators",
]
