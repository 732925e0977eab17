"""Is it alive, is it ready, and what may Prometheus count.

These routes keep answering when all request threads are busy: they are ``async`` and have threads of their own.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Literal

import anyio
import sqlalchemy as sa
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from pydantic import BaseModel

from app import __version__
from app.errors import Unavailable
from app.resources import Resources
from app.zocalo import outbox

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"]
    version: str


class Ready(BaseModel):
    """Whether requests can be served: ``degraded`` means yes, but messages for Zocalo wait."""

    status: Literal["ready", "degraded", "not-ready"]
    database: str
    broker: str
    messagesWaiting: int | None  # noqa: N815 - as in all our answers
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
    trouble: Callable[[], str | None] = state.broker_trouble
    broker = trouble()
    connection = broker or ("connected" if resources.settings.relay.enabled else "not used: this process has no relay")
    try:
        with resources.database.read() as session:
            session.execute(sa.select(1))
            count, age = outbox.waiting(session)
    except Unavailable as error:
        return Ready(
            status="not-ready",
            database=error.detail,
            broker=connection,
            messagesWaiting=None,
            oldestWaitingSeconds=None,
        )
    except sa.exc.SQLAlchemyError:
        return Ready(
            status="not-ready",
            database="The tables are not as they should be: run 'synchweb-em doctor'.",
            broker=connection,
            messagesWaiting=None,
            oldestWaitingSeconds=None,
        )
    return Ready(
        status="degraded" if broker else "ready",
        database="answers",
        broker=connection,
        messagesWaiting=count,
        oldestWaitingSeconds=round(age, 1),
    )


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
