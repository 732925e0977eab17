"""The addresses of ``EM.php``. Each reads SynchWeb's request, calls a use case, and writes SynchWeb's answer."""

from __future__ import annotations

from fastapi import APIRouter

from app.synchweb.asking import PREFIX
from app.synchweb.routes import attachments as attachments
from app.synchweb.routes import data_collections as data_collections
from app.synchweb.routes import panels as panels
from app.synchweb.routes import relion as relion
from app.synchweb.routes import statistics as statistics

router = APIRouter(prefix=PREFIX)
for part in (data_collections, relion, panels, attachments, statistics):
    router.include_router(part.router)
