"""The only place that wires things together."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from app import __version__, revisions
from app.access import onetime
from app.access.identity import LOOPBACK
from app.db import Database
from app.errors import SettingsError, Unavailable
from app.filesystem.looks import Looks
from app.http import health
from app.http.faces import Faces
from app.http.middleware import BoundedBody, RequestContext
from app.http.polls import Changes, Polls
from app.http.problems import NATIVE, Problem
from app.http.schemas import PREFIX
from app.ispyb import sandbox
from app.processing_jobs import routes as jobs
from app.processing_jobs import stopping
from app.resources import Resources
from app.results import routes as results
from app.settings import Settings, load
from app.simulator.microscope import Microscope
from app.simulator.zocalo import SimulatedZocalo
from app.synchweb import errors as synchweb_errors
from app.synchweb import routes as synchweb
from app.synchweb.answers import SCHEMAS as SYNCHWEB_SCHEMAS
from app.synchweb.asking import PREFIX as SYNCHWEB
from app.visits import routes as visits
from app.zocalo import transport
from app.zocalo.relay import Relay
from app.zocalo.watch import QueueWatch

log = logging.getLogger(__name__)

SWEEP_SECONDS = 5.0  # how often stops are looked at; the first repetition comes after 30 s

DESCRIPTION = """Launch, watch and stop RELION for cryo-EM visits.

Names are ISPyB's, in camelCase; times are ISO 8601 with offset; lists are `{"total", "items"}`, with `limit` and
`page`. Errors are RFC 9457 problems: `type` is stable, `detail` says what to do, `errors` names the fields at fault."""

# Ways to say who asks, by their names in EM_AUTH__MODES; one of them is enough.
LOGINS = {
    "synchweb": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "SynchWeb's token of somebody who has logged in there",
    },
    "onetime": {
        "type": "apiKey",
        "in": "query",
        "name": onetime.PARAMETER,
        "description": f"SynchWeb's token for one request: good once, within {onetime.SECONDS} seconds, and only for "
        "the address that it was made for",
    },
}


class Background:
    """What works beside the requests: the relay, and the repetition of stops."""

    def __init__(self, settings: Settings, database: Database, looks: Looks, watch: QueueWatch) -> None:
        self.relay = Relay(database, transport.create(settings.broker), settings.relay, watch)
        self.resources = Resources(settings, database, looks, self.relay.wake, lambda: watch.queue)
        self._ending = threading.Event()
        self._stops = threading.Thread(target=self._repeat_stops, name="stops", daemon=True)

    def start(self) -> None:
        """Begin."""
        self.relay.start()
        self._stops.start()

    def stop(self) -> None:
        """Finish what is in hand and end."""
        self._ending.set()
        self.relay.stop()
        self._stops.join(10.0)

    def _repeat_stops(self) -> None:
        rounds = 0
        while not self._ending.wait(SWEEP_SECONDS):
            try:
                stopping.sweep(self.resources)
                if rounds % 720 == 0:  # once an hour
                    stopping.forget_old_keys(self.resources)
                rounds += 1
            except Unavailable as error:
                log.warning("stops: %s", error.detail)
            except Exception:
                # As with the relay: a thread that dies would let stops be forgotten.
                log.exception("stops: unexpected error")


def create_app(settings: Settings) -> FastAPI:
    """The application, ready for a server."""
    with_relay = settings.relay.enabled
    database = Database(settings)
    looks = Looks(threads=settings.files.threads, deadline=settings.files.deadline)
    watch = QueueWatch(settings.broker)
    background = Background(settings, database, looks, watch)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = settings.threads
        log.info("people are known by: %s", ", ".join(settings.auth.modes))
        watch.start()
        if with_relay:
            background.start()
        demo = _demo(settings, database) if with_relay and settings.broker.is_embedded else []
        for player in demo:
            player.start()
        yield
        for player in demo:
            player.stop()
        if with_relay:
            background.stop()
        watch.stop()
        database.dispose()

    app = FastAPI(
        title="synchweb-em",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # its page loads scripts from elsewhere, which facilities' networks do not reach
        redoc_url=None,
        redirect_slashes=False,  # an address with a slash too many is not there, and tells nobody where to go instead
    )
    app.state.resources = (
        background.resources if with_relay else Resources(settings, database, looks, queue=lambda: watch.queue)
    )
    app.state.watch = watch
    app.state.relay = background.relay if with_relay else None
    # Side by side: FastAPI searches each router anew for every router that it is included in.
    for native in (visits.router, jobs.router, results.router):
        app.include_router(native, prefix=PREFIX)
    for former in synchweb.ROUTERS:
        app.include_router(former, prefix=SYNCHWEB)
    app.include_router(health.router)
    faces = Faces(NATIVE, {f"{SYNCHWEB}/": synchweb_errors.FACE, f"{PREFIX}/": NATIVE})
    faces.install(app)
    app.add_middleware(BoundedBody, faces=faces)
    changes = Changes(os.environ.get("PROMETHEUS_MULTIPROC_DIR"))  # 'serve' gives its workers a folder
    app.add_middleware(Polls, seconds=settings.share_seconds, changes=changes)
    app.add_middleware(RequestContext, faces=faces)
    app.openapi = lambda: openapi(app)  # type: ignore[method-assign]
    return app


def app_from_environment() -> FastAPI:
    """For servers that start workers by the name of a factory."""
    return create_app(load())


def openapi(app: FastAPI) -> dict[str, Any]:
    """The API's document. It names our problem type where FastAPI would name its own error."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes, summary=None
        )
        schemas = document["components"]["schemas"]
        for path, operations in document["paths"].items():
            for operation in operations.values():
                if path.startswith(f"{SYNCHWEB}/") and not path.startswith(f"{PREFIX}/"):
                    operation["responses"].pop("422", None)  # FastAPI's own; SynchWeb's face answers 400 or 404
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        definition = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(definition.pop("$defs", {}))
        schemas["Problem"] = definition
        schemas.update(SYNCHWEB_SCHEMAS)
        document["components"]["securitySchemes"] = LOGINS
        document["security"] = [{name: []} for name in LOGINS]
        for route in health.router.routes:
            if isinstance(route, APIRoute):
                for operation in document["paths"][route.path].values():
                    operation["security"] = []  # who watches services has no login
        app.openapi_schema = document
    return app.openapi_schema


def check(settings: Settings, database: Database, *, host: str, workers: int) -> None:
    """What must be true before anything is served.

    Raises:
        SettingsError: one sentence for each thing that is wrong.
    """
    sentences = []
    if "none" in settings.auth.modes and host not in LOOPBACK:
        sentences.append(
            f"EM_AUTH__MODES is 'none', which trusts everybody, so the service listens on loopback only, not on "
            f"{host}; set EM_AUTH__MODES=synchweb,onetime to ask who it is."
        )
    if settings.broker.is_embedded and not settings.relay.enabled:
        sentences.append("EM_BROKER__URL is embedded:// and the relay is off: nobody would send anything.")
    if not database.is_sqlite and not database.engine.url.database:
        sentences.append("EM_DATABASE__URL names no database: add the name of ISPyB's, as in …@host:3306/ispyb.")
    if database.is_sqlite and workers > 1:
        sentences.append("SQLite admits one worker; use MariaDB for more.")
    sentences += _check_database(settings, database)
    if sentences:
        raise SettingsError(*sentences)


def _check_database(settings: Settings, database: Database) -> list[str]:
    try:
        revision = revisions.current(database)
        if revision is not None and revision not in revisions.REVISIONS:
            return [
                f"Our tables are at revision {revision}, which this version does not know: install the version that "
                "made them, or a later one."
            ]
        if revision != revisions.NEEDED:
            return [
                f"Our tables are at revision {revision or 'none'}, this version needs {revisions.NEEDED}: "
                "run 'synchweb-em migrate'."
            ]
        if settings.broker.is_embedded:
            with database.read() as session:
                if not sandbox.is_sandbox(session):
                    return [
                        "EM_BROKER__URL is not set, and the simulator of embedded:// runs only on a database made by "
                        "'synchweb-em sandbox create': set EM_BROKER__URL to your broker."
                    ]
    except Exception as error:
        if database.is_sqlite:
            return [f"The database cannot be used ({error}): run 'synchweb-em demo', or set EM_DATABASE__URL."]
        if settings.broker.is_embedded:
            return [
                "EM_BROKER__URL is not set, and whether the simulator of embedded:// may run cannot be seen, for the "
                "database does not answer: set EM_BROKER__URL to your broker, or start the database first."
            ]
        # A server that is away now will be back; readyz says so meanwhile.
        log.warning("the database cannot be used yet: %s", getattr(error, "orig", error))
    return []


def _demo(settings: Settings, database: Database) -> list[Any]:
    with database.read() as session:
        if not sandbox.is_sandbox(session):  # however the application was started
            raise SettingsError("The simulator of embedded:// runs on a sandbox only: set EM_BROKER__URL.")
    return [SimulatedZocalo(settings, database), Microscope(settings, database)]


def create_relay(settings: Settings) -> tuple[Background, Callable[[], None]]:
    """A relay on its own, and what closes its connections."""
    database = Database(settings, pool_size=4)
    looks = Looks(threads=settings.files.threads, deadline=settings.files.deadline)
    watch = QueueWatch(settings.broker)
    watch.start()
    return Background(settings, database, looks, watch), database.dispose
