"""From a spec to an application that serves in this process: what a service's wsgi module calls.

    from pathlib import Path
    from swagger_server.startup import load_application

    application = load_application(Path(__file__).with_name("openapi.yaml"))

Owns when the pools are opened, and how a start that cannot succeed ends: with one line.
"""

import atexit
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from connexion.exceptions import ConnexionException, InvalidSpecification
from flask import Blueprint
from jsonschema import ValidationError
from yaml import YAMLError

from swagger_server import affinity, capacity, log, our_gunicorn, runtime
from swagger_server.app import create_app
from swagger_server.config import ConfigError, Loaded, read_settings
from swagger_server.cooperation import in_each_worker, once_forked
from swagger_server.embedded import EmbeddedError
from swagger_server.health import SchemaCheck
from swagger_server.orphans import end_with_master, forget_master_handlers
from swagger_server.prepare import prepare
from swagger_server.serving import Application

_GUNICORN_HALTS = 3
"""The exit status by which a worker tells gunicorn's master to stop instead of starting another one."""

_LONGEST_LINE = 500

_STARTED = "started"
"""What is noted in the workers' folder once one of them has passed the comparison with the servers."""


def load_application(
    spec: Path,
    *,
    blueprints: Sequence[Blueprint] = (),
    schema: SchemaCheck | None = None,
    with_places: bool = False,
) -> Application:
    """The application for `spec`, with settings from config.ini and the environment, started.

    `blueprints` add pages outside the spec, `schema` a condition for being ready. `with_places` has the embedded
    database filled with the places. Settings, a spec or an
    embedded database that cannot be used end the process with status 3 and one line on stderr.
    """
    master = our_gunicorn.master()
    runtime.belong_to(master)
    try:
        loaded = read_settings()
        log.configure(loaded.settings.server)
        application = create_app(
            loaded.settings,
            _prepare(loaded, master, with_places),
            spec=spec,
            blueprints=blueprints,
            schema=schema,
        )
    except (ConfigError, EmbeddedError) as exc:
        _refuse(str(exc))
    except (ConnexionException, YAMLError, OSError, ImportError) as exc:
        _refuse(f"{spec}: {_what_is_wrong(exc)}")
    _start(application, master, loaded.settings.server.cpu_affinity)
    return application


def _prepare(loaded: Loaded, master: int | None, with_places: bool) -> dict[str, dict[str, Any]]:
    """The databases; and a look whether they have room, where gunicorn's master did not take it.

    A worker that comes later, when another has found room, only warns: its refusal would stop those that serve.
    """
    workers = our_gunicorn.workers() or capacity.workers_by_environment()
    connections = prepare(loaded.settings, workers, with_places=with_places)
    if not capacity.is_checked():
        folder = _folder_of_workers(master)
        may_refuse = folder is None or not folder.is_noted(_STARTED)
        capacity.check(loaded, connections, workers, may_refuse=may_refuse)
        if folder is not None:
            with suppress(OSError):
                folder.note(_STARTED)
    return connections


def _folder_of_workers(master: int | None) -> runtime.Folder | None:
    """What a worker that loads the application shares with those before it; None for others, and without a place."""
    if master in (None, os.getpid()):
        return None
    try:
        return runtime.folder()
    except OSError:
        return None


def _what_is_wrong(exc: Exception) -> str:
    """Its text; of a spec that is not valid the place and the fault, and not the schema that it is held against."""
    if not isinstance(exc, InvalidSpecification):
        return str(exc)
    fault = _innermost(exc)
    return f"{fault.json_path}: {fault.message}"


def _innermost(fault: ValidationError) -> ValidationError:
    """Of what could stand at a place, what was most likely meant: it fits deepest, and is no reference."""
    while fault.context:
        fault = max(
            fault.context, key=lambda each: (len(each.absolute_path), each.validator_value != ["$ref"])
        )
    return fault


def _refuse(reason: str) -> NoReturn:
    line = " ".join(reason.split())
    # In one piece with its end: print() writes them apart, and another worker's line may come between.
    sys.stderr.write(f"swagger_server: {line[:_LONGEST_LINE]}\n")
    sys.exit(_GUNICORN_HALTS)


def _start(application: Application, master: int | None, on_one_processor: bool) -> None:
    """Open the pools in this process, or, in a master that preloads, in each worker once it is forked."""
    atexit.register(application.stop)
    start_here = partial(_start_here, application, master, on_one_processor)
    if master == os.getpid():
        once_forked(forget_master_handlers)
        in_each_worker(start_here)
    else:
        start_here()


def _start_here(application: Application, master: int | None, on_one_processor: bool) -> None:
    if master is not None:
        end_with_master(master)
        number = our_gunicorn.number_of_worker()
        if on_one_processor and number is not None:
            affinity.keep_on_one_processor(number)
    application.start()
