"""Is it alive, is it ready, and what may Prometheus count.

These routes keep answering when all request threads are busy: they are ``async`` and have threads of their own.
"""

from __future__ import annotations

import os
from typing import Any, Literal

import anyio
import sqlalchemy as sa
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from pydantic import BaseModel, Field

from app import __version__
from app.errors import Unavailable
from app.resources import Resources
from app.zocalo import outbox
from app.zocalo.relay import Relay
from app.zocalo.watch import QueueWatch

NO_RELAY = "not used: this process has no relay"

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"]
    version: str


class Ready(BaseModel):
    """Whether requests can be served: ``degraded`` means yes, but jobs wait, for messages do not reach Zocalo."""

    status: Literal["ready", "degraded", "not-ready"]
    database: str
    broker: str
    queue: str = Field(description="whether Zocalo's queue is there and somebody listens")
    consumers: int | None = Field(description="how many listen to it; null where that cannot be seen")
    deadLetters: int | None = Field(description="messages that Zocalo rejected, anybody's")  # noqa: N815 - as elsewhere
    messagesWaiting: int | None = Field(description="in our outbox")  # noqa: N815
    oldestWaitingSeconds: float | None  # noqa: N815


@router.get("/healthz", operation_id="getHealth", summary="Is the process alive?")
async def healthz() -> Alive:
    """Asks nothing of database or broker."""
    return Alive(status="alive", version=__version__)


@router.get(
    "/readyz",
    operation_id="getReadiness",
    summary="Can requests be served?",
    responses={503: {"model": Ready, "description": "The database does not answer"}},
)
async def readyz(request: Request) -> Ready:
    """The database must answer; a broker that is away only means that messages wait."""
    ready = await anyio.to_thread.run_sync(_ready, request.app.state, limiter=_limiter(request))
    status = 503 if ready.status == "not-ready" else 200
    return JSONResponse(ready.model_dump(), status)  # type: ignore[return-value]


@router.get("/metrics", operation_id="getMetrics", summary="For Prometheus", response_class=Response)
async def metrics(request: Request) -> Response:
    """Counters of this service, of all its workers, and the outbox as the database has it."""
    content = await anyio.to_thread.run_sync(_metrics, request.app.state, limiter=_limiter(request))
    return Response(content, media_type=CONTENT_TYPE_LATEST)


def _limiter(request: Request) -> anyio.CapacityLimiter:
    state = request.app.state
    if not hasattr(state, "health_limiter"):
        state.health_limiter = anyio.CapacityLimiter(2)
    limiter: anyio.CapacityLimiter = state.health_limiter
    return limiter


def _ready(state: Any) -> Ready:
    resources: Resources = state.resources
    status: Literal["ready", "degraded", "not-ready"] = "ready"
    database, count, age = "answers", None, None
    try:
        with resources.database.read() as session:
            session.execute(sa.select(1))
            count, age = outbox.waiting(session)
    except Unavailable as error:
        status, database = "not-ready", error.detail
    except sa.exc.SQLAlchemyError:
        status, database = "not-ready", "The tables are not as they should be: run 'synchweb-em doctor'."
    relay: Relay | None = state.relay
    trouble = None if relay is None else relay.trouble
    queue = state.watch.queue
    if status == "ready" and (trouble is not None or (queue is not None and queue.trouble is not None)):
        status = "degraded"
    return Ready(
        status=status,
        database=database,
        broker=NO_RELAY if relay is None else trouble or "connected",
        queue=_told(state.watch),
        consumers=None if queue is None else queue.consumers,
        deadLetters=None if queue is None else queue.dead_letters,
        messagesWaiting=count,
        oldestWaitingSeconds=None if age is None else round(age, 1),
    )


def _told(watch: QueueWatch) -> str:
    """What is known of the queue, and why no more is."""
    queue, unknown = watch.queue, watch.unknown
    if queue is None:
        return unknown or "embedded"
    sentences = (f"{queue.told}.", queue.rejected and f"Besides, {queue.rejected}.", unknown and f"Now {unknown}.")
    return " ".join(filter(None, sentences))


def _metrics(state: Any) -> bytes:
    registry: CollectorRegistry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):  # several workers: 'serve' sets it before they start
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    content: bytes = generate_latest(registry)
    ready = _ready(state)
    lines = ["# TYPE em_ready gauge", f"em_ready {int(ready.status != 'not-ready')}"]
    if ready.messagesWaiting is not None:
        lines += ["# TYPE em_outbox_waiting gauge", f"em_outbox_waiting {ready.messagesWaiting}"]
        lines += ["# TYPE em_outbox_oldest_seconds gauge", f"em_outbox_oldest_seconds {ready.oldestWaitingSeconds}"]
    return content + ("\n".join(lines) + "\n").encode()
