"""Facts to judge: dull defaults, so that a test states only what matters to it.

The dull job was launched here two minutes ago, its start message is confirmed, and nothing else is known.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from app.filesystem.sentinel import Sentinel, SentinelLook
from app.processing_jobs.rules import Facts, Launch, Program, Stop
from app.zocalo.outbox import Delivery

RUNNING_RELION_IT = "RUNNING_RELION_IT"

NOW = datetime(2021, 6, 8, 12, 0, tzinfo=UTC)
LAUNCHED = NOW - timedelta(minutes=2)


def ago(**span: float) -> datetime:
    """So long before now; negative spans lie in the future."""
    return NOW - timedelta(**span)


def delivery(**overrides: Any) -> Delivery:
    """A message that the broker confirmed at once."""
    queued_at = overrides.pop("queued_at", LAUNCHED)
    values: dict[str, Any] = {
        "queued_at": queued_at,
        "attempts": 1,
        "attempted_at": queued_at,
        "sent_at": queued_at,
        "cancelled_at": None,
        "last_error": None,
    }
    return Delivery(**(values | overrides))


def waiting(**overrides: Any) -> Delivery:
    """A message that no relay has claimed yet."""
    return delivery(**({"attempts": 0, "attempted_at": None, "sent_at": None} | overrides))


def unconfirmed(**overrides: Any) -> Delivery:
    """A message that may have reached the broker, which did not say so."""
    return delivery(**({"sent_at": None, "last_error": "no receipt within 5 s"} | overrides))


def cancelled(**overrides: Any) -> Delivery:
    """A message that was taken back before any relay claimed it."""
    return waiting(**({"cancelled_at": ago(minutes=1)} | overrides))


def launch(**overrides: Any) -> Launch:
    """A launch through this service."""
    values: dict[str, Any] = {
        "guid": "6f0b0d5e-0000-4000-8000-000000000000",
        "results_directory": "/dls/m12/data/2021/cm28212-1/processed/raw/GridSquare_1/6f0b0d5e",
        "launched_by": "abc12345",
        "launched_at": LAUNCHED,
        "face": "native",
        "seen_running_at": None,
    }
    return Launch(**(values | overrides))


def program(**overrides: Any) -> Program:
    """A primary program that was registered a minute ago and has not begun."""
    values: dict[str, Any] = {
        "program_id": 1,
        "parent_id": None,
        "programs": "relion",
        "status": None,
        "message": None,
        "start": None,
        "end": None,
        "recorded": ago(minutes=1),
    }
    return Program(**(values | overrides))


def running(**overrides: Any) -> Program:
    """A primary program that has begun."""
    return program(**({"start": ago(minutes=1)} | overrides))


def success(**overrides: Any) -> Program:
    """A primary program that has ended well."""
    return running(**({"status": 1, "end": ago(seconds=30), "message": "processing successful"} | overrides))


def failure(**overrides: Any) -> Program:
    """A primary program that has failed."""
    return running(**({"status": 0, "end": ago(seconds=30), "message": "processing failure"} | overrides))


def stop(**overrides: Any) -> Stop:
    """A stop that was asked half a minute ago; its message is confirmed."""
    asked_at = overrides.pop("asked_at", ago(seconds=30))
    values: dict[str, Any] = {
        "asked_by": "xyz98765",
        "asked_at": asked_at,
        "replaced_by": None,
        "messages": (delivery(queued_at=asked_at),),
    }
    return Stop(**(values | overrides))


def seen(*names: str, since: datetime = LAUNCHED, newest: datetime | None = None) -> SentinelLook:
    """The run's directory is there, with these sentinels."""
    return SentinelLook(True, tuple(Sentinel(name, since) for name in names), newest or since)


NOT_THERE = SentinelLook(directory=False)


def facts(**overrides: Any) -> Facts:
    """All that is known of the dull job."""
    values: dict[str, Any] = {
        "now": NOW,
        "job_id": 6611642,
        "dcid": 6018191,
        "recipe": "relion",
        "recorded": LAUNCHED,
        "launch": launch(),
        "start": delivery(),
        "programs": (),
        "stop": None,
        "look": None,
        "unknown": None,
        "last_result": None,
    }
    return Facts(**(values | overrides))


def from_elsewhere(**overrides: Any) -> Facts:
    """All that is known of a job that other software launched: no guid, no message."""
    return facts(**({"launch": None, "start": None} | overrides))


ONE_DAY = {"recorded": ago(hours=24), "start": delivery(queued_at=ago(hours=24))}
