"""The application: the spec, its controllers and its databases behind the outermost layer.

Owns how the parts are put together. Works for any spec: what is about places comes in as arguments.
"""

import logging
import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import connexion
import werkzeug.exceptions
from connexion.options import SwaggerUIOptions
from flask import Blueprint, Flask
from psycopg2.extras import RealDictCursor
from werkzeug.sansio.response import Response

from swagger_server import (
    budgets,
    bulk,
    db,
    encoder,
    health,
    idempotency,
    position,
    preconditions,
    runtime,
    security,
    under_way,
)
from swagger_server.config import Settings
from swagger_server.config.settings import DEFAULT_DATABASE
from swagger_server.cooperation import cooperate_with_gevent
from swagger_server.edge import with_edge
from swagger_server.edge.changing import changing
from swagger_server.edge.forwarded import trust_proxies
from swagger_server.edge.limiting import Limiting
from swagger_server.edge.security import challenges, credential_headers, required_scopes, ways
from swagger_server.metrics import PATH as METRICS
from swagger_server.metrics import Metrics
from swagger_server.pool import ConnectionPool, PoolOptions
from swagger_server.pool_page import PATHS as POOL_PAGE
from swagger_server.pool_page import PoolPage
from swagger_server.pulse import Pulse
from swagger_server.rate_limits import Counter
from swagger_server.serving import (
    Application,
    ConnexionHandler,
    Handler,
    LargeBodies,
    Request,
    connexion_handler,
    quick_spec_check,
    validators,
)
from swagger_server.serving import Response as Answer
from swagger_server.spec_file import read_spec
from swagger_server.worker_user import as_user_of_workers

log = logging.getLogger(__name__)


def create_app(
    settings: Settings,
    connections: Mapping[str, Mapping[str, Any]],
    *,
    spec: Path,
    blueprints: Sequence[Blueprint] = (),
    schema: health.SchemaCheck | None = None,
) -> Application:
    """An application for `spec`, an OpenAPI 3.0 file whose operationIds name the controllers.

    `connections` are psycopg2.connect's arguments by the name of the database; `blueprints` add pages
    outside the spec; `schema` tells whether the default database has the tables that the controllers
    need. Connects to nothing before `Application.start()`. Raises what Connexion raises for a spec
    that is invalid or names a function that does not exist.
    """
    # Before the spec names its controllers, which may define metrics of their own.
    watching = _Watching(settings)
    api = _connexion_app(settings, spec)
    specs = [one.specification for one in api.middleware.apis]
    security.install(api.app, required_scopes(specs), settings.jwt)
    api.app.config[preconditions.REQUIRED] = settings.server.require_if_match
    api.app.config[bulk.PER_OWNER] = settings.bulk.per_owner
    api.app.config[idempotency.KEPT] = settings.server.idempotency_seconds
    for name, arguments in connections.items():
        _register_database(api.app, settings, name, arguments)
    watching.databases = db.databases(api.app)
    for blueprint in (health.blueprint(schema), *watching.blueprints(), *blueprints):
        api.app.register_blueprint(blueprint)
    limits = _Limits(settings, api.app, specs)
    # The outermost layer answers errors: it makes some itself, and all are to look alike.
    handler = connexion_handler(api, retry=_retry(settings), raise_errors=True)
    fixed = _methods_of_fixed(api.app)
    databases = db.databases(api.app).values()
    edge = with_edge(
        _as_the_spec_routes(handler, fixed),
        settings.cors,
        settings.server,
        _allowed_methods(api.app, fixed),
        _of_operation(challenges(specs)),
        watching.metrics.observe if watching.metrics else None,
        exposed=(position.HEADER,),
        same_origin=(METRICS, *POOL_PAGE),
        limiting=limits.limiting,
        ways=_of_operation(ways(specs)),
        remedy=None if schema is None else schema.remedy,
        is_changing=_is_any_of(changing(specs)),
    )
    application = Application(
        edge,
        immediate={health.LIVE: edge},
        apart=(METRICS, *POOL_PAGE),
        threads=settings.pool.max,
        max_wait=settings.pool.timeout,
        deadline=settings.server.deadline,
        patience=settings.bulk.patience,
        max_body=settings.server.max_body,
        large_bodies=_large_bodies(handler, settings, limits),
        on_start=lambda: _start(databases, watching, limits),
        on_stop=lambda: _stop(databases, watching, limits),
    )
    watching.queued = application.queued
    return application


def _large_bodies(handler: ConnexionHandler, settings: Settings, limits: "_Limits") -> LargeBodies | None:
    wants, large = handler.spools, settings.bulk
    if wants is None:
        return None
    trust = trust_proxies(settings.server.trusted_proxies)

    def admit(request: Request) -> None:
        trust(request)
        if limits.limiting is not None:
            limits.limiting.admit(request)
        handler.admit(request)
        if limits.limiting is not None:
            limits.limiting.admit_caller(request)

    return LargeBodies(
        wants,
        admit,
        large.max_body,
        large.deadline,
        large.folder,
        most=large.uploads,
        most_each=large.uploads_per_caller,
        seconds=large.body_time,
    )


class _Watching:
    """What shows how the service does: its metrics and its page of the pools, as far as they are wanted."""

    def __init__(self, settings: Settings) -> None:
        self.databases: Mapping[str, db.Database] = {}
        self.queued: Callable[[], Iterable[tuple[float, Request]]] = lambda: ()
        self.metrics: Metrics | None = None
        self.page: PoolPage | None = None
        self._has_given_up = False
        try:
            if settings.server.metrics:
                self.metrics = Metrics(runtime.folder(), self._pools)
            if settings.shows_pool_page:
                self.page = PoolPage(self._pools, lambda: self.queued())
        except OSError as exc:
            self._give_up(exc)
        beats = (self.metrics and self.metrics.publish, self.page and self.page.remember)
        self._pulse = Pulse([beat for beat in beats if beat])

    def blueprints(self) -> Iterable[Blueprint]:
        found = [each.blueprint() for each in (self.metrics, self.page) if each]
        for blueprint in found:
            blueprint.before_request(self._refuse_unless_it_works)
        return found

    def start(self) -> None:
        if self._has_given_up or not (self.metrics or self.page):
            return
        try:
            with as_user_of_workers():
                # Asked for here again: the master that preloaded this may be another user's.
                folder = runtime.folder()
                for each in (self.metrics, self.page):
                    if each:
                        each.start(folder)
        except OSError as exc:
            self._give_up(exc)
        else:
            self._pulse.start()

    def stop(self) -> None:
        """While the pools are still there: the last of what they have counted."""
        self._pulse.stop()
        if self.page:
            try:
                self.page.stop()
            except OSError as exc:
                log.warning("the page of the pools has not ended well: %s", exc)

    def _give_up(self, exc: OSError) -> None:
        """No folder for temporary files, say, or no room in it: no reason not to serve."""
        self._has_given_up = True
        log.warning("there is no /metrics and no /pool: %s", exc)

    def _refuse_unless_it_works(self) -> None:
        if self._has_given_up:
            raise werkzeug.exceptions.NotFound

    def _pools(self) -> list[ConnectionPool]:
        return [database.opened for database in self.databases.values() if database.opened]


class _Limits:
    """What callers may ask for, where anything is limited, and where that is counted."""

    limiting: Limiting | None = None

    def __init__(self, settings: Settings, app: Flask, specs: Iterable[Mapping[str, Any]]) -> None:
        if not settings.limits.any_rate:
            return
        self._counter = Counter(settings.limits.storage)
        self.limiting = Limiting(
            settings.limits,
            self._counter,
            credential_headers(specs),
            # Whoever watches over the service is to see how it does while it refuses others.
            exempt=(health.PREFIX, METRICS, *POOL_PAGE),
        )
        if self.limiting.limits_callers:
            # Flask's first hook: the security functions have been called by then, and nothing else has.
            app.before_request(self._admit_caller)

    def start(self) -> None:
        if self.limiting is None:
            return
        try:
            with as_user_of_workers():
                self._counter.start(runtime.folder())
        except OSError as exc:
            log.warning("the rates of callers are counted by each worker for itself: %s", exc)

    def stop(self) -> None:
        if self.limiting is not None:
            self._counter.stop()

    def _admit_caller(self) -> None:
        request = under_way.current.get()
        if self.limiting is not None and isinstance(request, Request):
            self.limiting.admit_caller(request)


def _connexion_app(settings: Settings, spec: Path) -> connexion.FlaskApp:
    jsonifier = encoder.ConnexionJsonifier()
    api = connexion.FlaskApp(
        __name__,
        specification_dir=spec.parent,
        jsonifier=jsonifier,
        strict_validation=True,
        pythonic_params=True,
        swagger_ui_options=SwaggerUIOptions(swagger_ui=settings.server.swagger_ui),
        # Flask's own /static would be a page of the package's folder.
        server_args={"static_folder": None},
    )
    api.app.json = encoder.FlaskJson(api.app, settings.limits.json_depth)
    # In the place of Connexion's, which keeps only status and text: no Location, no Retry-After.
    api.app.register_error_handler(werkzeug.exceptions.HTTPException, _answer_or_raise)
    with quick_spec_check():
        api.add_api(read_spec(spec), validator_map=validators(settings.limits.json_depth))
    return api


def _answer_or_raise(exc: werkzeug.exceptions.HTTPException) -> Response:
    """What Flask raises to answer with, a redirect or a response given to abort(), is the answer."""
    if exc.response is not None or (exc.code or 500) < 400:
        return exc.get_response()
    raise exc


_ENDING = 1.0
"""Seconds that a server may take to end a statement whose time is up, and to say so."""


def _register_database(app: Flask, settings: Settings, name: str, arguments: Mapping[str, Any]) -> None:
    pool, is_replica = settings.pool, name == settings.replica
    query_timeout = pool.query_timeout
    if is_replica and not query_timeout and settings.server.statement_timeout:
        # By then the server has ended the statement, if it does anything at all.
        query_timeout = settings.server.statement_timeout + _ENDING
    described = settings.databases.get(name)
    options = PoolOptions(
        name=name,
        timeout=pool.timeout,
        max_waiting=pool.max_waiting,
        max_idle=pool.max_idle,
        max_lifetime=pool.max_lifetime,
        # Nobody needs to wait for a replica: the primary is there.
        outage_grace=0.0 if is_replica else pool.outage_grace,
        query_timeout=query_timeout,
        brief_timeout=db.REPLICA_SILENCE if is_replica else 0.0,
        reset=pool.reset,
        leak_after=pool.leak_after,
        read_only=described is not None and described.read_only,
        budget=budgets.budget_for(pool, name, arguments),
    )
    db.Database().init_app(
        app,
        name,
        pool.min,
        pool.max,
        options=options,
        statement_timeout=settings.server.statement_timeout,
        prepare=settings.server.prepare,
        cursor_factory=RealDictCursor if settings.server.rows == "dict" else None,
        replica=settings.replica if name == DEFAULT_DATABASE else None,
        # A read that came from a replica may lie in a browser's cache for so long.
        remember_writes=settings.server.cache_seconds + position.LAG,
        **arguments,
    )


def _start(databases: Iterable[db.Database], watching: _Watching, limits: _Limits) -> None:
    cooperate_with_gevent()
    # Before there are threads that would be the workers' user for that time.
    limits.start()
    watching.start()
    for database in databases:
        database.open()


def _stop(databases: Iterable[db.Database], watching: _Watching, limits: _Limits) -> None:
    try:
        watching.stop()
        limits.stop()
    finally:
        for database in databases:
            database.close()


def _retry(settings: Settings) -> Callable[[Request, Exception, int], bool]:
    """Whether a request that raised is to be run again, as the settings have it."""
    retry_read = _retry_read if settings.replica is None else _retry_read_on_primary

    def retry(request: Request, exc: Exception, attempt: int) -> bool:
        if request.method in db.SAFE_METHODS:
            return settings.server.retry_reads and retry_read(request, exc, attempt)
        return settings.server.retry_writes and _retry_write(request, exc, attempt)

    return retry


_ATTEMPTS = 8
"""How often a read is run at most: the next connection may be one that is ended a moment later. With four, one read
in two thousand failed while all sessions were killed every 40 requests."""


def _retry_read(request: Request, exc: Exception, attempt: int) -> bool:
    """A read that lost its connection changed nothing: on another one it may succeed."""
    return _is_read(request) and attempt < _ATTEMPTS and db.is_lost(exc)


def _retry_read_on_primary(request: Request, exc: Exception, attempt: int) -> bool:
    """As `_retry_read`, where there is a replica: what that failed at, the primary is asked for."""
    failed_by_replica = not request.needs_primary and db.is_failure_of_replica(exc)
    if not (_retry_read(request, exc, attempt) or (_is_read(request) and failed_by_replica)):
        return False
    request.needs_primary = True
    return True


def _is_read(request: Request) -> bool:
    return request.method == "GET" and not request.cancellation.is_cancelled


_CONFLICTS = 20
"""How often a write is run at most; the request's deadline comes first. Each conflict has let somebody else through."""

_LONGEST_PAUSE = 0.05
"""Seconds before the next attempt at most, at random: those who met shall not meet again."""


def _retry_write(request: Request, exc: Exception, attempt: int) -> bool:
    """A write that a deadlock or a serialization failure undid changed nothing, if all of it was undone."""
    if not db.is_conflict(exc) or request.has_committed or attempt >= _CONFLICTS:
        return False
    time.sleep(random.uniform(0, _LONGEST_PAUSE))
    return not request.cancellation.is_cancelled


def _methods_of_fixed(app: Flask) -> dict[str, frozenset[str]]:
    """The methods of each path without parameters that is a value of another path's, which has other methods."""
    methods: dict[str, frozenset[str]] = {}
    for rule in app.url_map.iter_rules():
        if not rule.arguments:
            methods[rule.rule] = methods.get(rule.rule, frozenset()) | (rule.methods or frozenset())
    adapter = app.url_map.bind("localhost")
    return {path: own for path, own in methods.items() if not own.issuperset(adapter.allowed_methods(path))}


def _as_the_spec_routes(handler: Handler, fixed: Mapping[str, frozenset[str]]) -> Handler:
    """Refuse what the routers would otherwise hand on to an operation that it is not for.

    PUT /sites/nearest is no PUT of the site "nearest". A path with a line break is nobody's: no value of a path
    may hold one.
    """

    def handle(request: Request) -> Answer:
        methods = fixed.get(request.path_in_app)
        if methods is not None and request.method not in methods:
            raise werkzeug.exceptions.MethodNotAllowed
        if "\n" in request.path:
            raise werkzeug.exceptions.NotFound
        return handler(request)

    return handle


def _allowed_methods(app: Flask, fixed: Mapping[str, frozenset[str]]) -> Callable[[Request], Iterable[str]]:
    def allowed(request: Request) -> Iterable[str]:
        methods = fixed.get(request.path_in_app)
        return methods or app.url_map.bind_to_environ(request.environ).allowed_methods()

    return allowed


def _of_operation(by_operation: Mapping[str, str]) -> Callable[[Request], str | None]:
    return lambda request: None if request.operation is None else by_operation.get(request.operation)


def _is_any_of(operations: Collection[str]) -> Callable[[Request], bool]:
    return lambda request: request.operation in operations
