"""The addresses of ``EM.php``. Each reads SynchWeb's request, calls a use case, and writes SynchWeb's answer."""

from __future__ import annotations

from app.synchweb.routes import attachments, data_collections, panels, relion, statistics

ROUTERS = (
    data_collections.router,
    relion.router,
    panels.router,
    attachments.router,
    statistics.router,
)
