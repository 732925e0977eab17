"""The service's answers in words, line by line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.client.http import Json

ENDED = {"succeeded": 0, "failed": 1, "stopped": 2}  # with the exit code of 'wait'
LABEL_WIDTH = 12  # 'stop-and-restart' is longer, which does no harm


def check(answer: Json) -> list[str]:
    """What the button would say."""
    dcid = answer["dataCollectionId"]
    files = {True: "are there", False: "are not there", None: "not known"}[answer["filesExist"]]
    lines = [_row(answer["action"], answer["reason"])]
    if dcid is not None:
        lines.append(_row("collection", dcid))
    elif answer["action"] == "start":
        lines.append(_row("collection", "none yet; a start creates it"))
    lines.append(_row("movies", files))
    for job in answer["blockingJobs"]:
        lines.append(_row("blocked by", f"job {job['processingJobId']}, {job['state']} since {moment(job['since'])}"))
    return lines + warnings(answer)


def launched(answer: Json) -> list[str]:
    """A job that was accepted."""
    new = " (new)" if answer["dataCollectionCreated"] else ""
    lines = [
        f"Job {answer['processingJobId']} was accepted.",
        _row("collection", f"{answer['dataCollectionId']}{new}"),
        _row("results", answer["resultsDirectory"]),
    ]
    if answer["stoppedJobs"]:
        lines.append(_row("stopping", f"job {', '.join(map(str, answer['stoppedJobs']))}, in whose place it runs"))
    return lines + warnings(answer)


def job(answer: Json) -> list[str]:
    """A job: its state, why, and the evidence."""
    label, when = "ended" if answer["state"] in ENDED else "since", answer["since"]
    lines = [
        f"Job {answer['processingJobId']} ({answer['recipe']}) on data collection {answer['dataCollectionId']} "
        f"of {answer['visit']}",
        _row(answer["state"], answer["reason"]),
    ]
    if when is not None:
        lines.append(_row(label, moment(when)))
    launch = answer["launch"]
    if launch is None:
        lines.append(_row("launched", f"elsewhere, at {moment(answer['recordTimestamp'])}"))
    else:
        lines.append(_row("launched", f"at {moment(launch['launchedAt'])} by {launch['launchedBy']}"))
        lines.append(_row("results", launch["resultsDirectory"]))
    if answer["message"] is not None:
        lines.append(_row("delivery", _delivery("start message", answer["message"])))
    lines += [
        _row("", f"sent again by {resent['requestedBy']} at {moment(resent['requestedAt'])}: {resent['reason']}")
        for resent in answer["resends"]
    ]
    lines += [_row("program", _program(program)) for program in answer["programs"]]
    lines.append(_row("sentinels", _sentinels(answer["sentinels"])))
    if answer["stop"] is not None:
        lines += _stop(answer["stop"])
    return lines + warnings(answer)


def collections(items: Sequence[Json]) -> list[str]:
    """A visit's data collections with their latest jobs."""
    rows = [("COLLECTION", "LATEST JOB", "STATE", "RECORDED", "MOVIES")]
    for item in items:
        latest = item["latestJob"]
        movies = f"{item['imageDirectory'] or ''}{item['fileTemplate'] or ''}"
        if latest is None:
            rows.append((str(item["dataCollectionId"]), "-", "-", "-", movies))
        else:
            number, recorded = str(latest["processingJobId"]), moment(latest["recordTimestamp"])
            rows.append((str(item["dataCollectionId"]), number, latest["state"], recorded, movies))
    return _table(rows)


def jobs(items: Sequence[Json]) -> list[str]:
    """The jobs of a data collection."""
    rows = [("JOB", "STATE", "RECORDED", "WHY")]
    for item in items:
        rows.append((str(item["processingJobId"]), item["state"], moment(item["recordTimestamp"]), item["reason"]))
    return _table(rows)


def parameters(answer: Json) -> list[str]:
    """What a job was launched with, as -p takes it; what -p does not take is a comment."""
    lines = [f"{name}={value(given)}" for name, given in answer["parameters"].items()]
    lines.append(f"# movies: {answer['importImages']} ({answer['acquisitionSoftware']})")
    lines += [f"# not known to the service: {name}={value(given)}" for name, given in answer["other"].items()]
    return lines


def warnings(answer: Json) -> list[str]:
    """What a person should know."""
    return [_row("WARNING", warning["message"]) for warning in answer["warnings"]]


def value(given: Any) -> str:
    """A parameter's value as -p reads it."""
    return given if isinstance(given, str) else json.dumps(given)


def moment(text: str) -> str:
    """A time of the API, easier to read, still with its offset."""
    return datetime.fromisoformat(text).isoformat(sep=" ", timespec="seconds")


def _row(label: str, content: object) -> str:
    return f"{label:<{LABEL_WIDTH - 1}} {' '.join(str(content).split())}"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell, but for the last."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    cells = [[*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[-1]] for row in rows]
    return ["  ".join(row) for row in cells]


def _delivery(what: str, message: Json) -> str:
    if message["state"] == "sent":
        return f"{what} confirmed by the broker at {moment(message['sentAt'])}"
    if message["state"] == "cancelled":
        return f"{what} cancelled before it was sent"
    trouble = f"; last error: {message['lastError']}" if message["lastError"] else ""
    queued, tries = moment(message["queuedAt"]), message["attempts"]
    return f"{what} waits for the broker since {queued}, tries so far: {tries}{trouble}"


def _program(program: Json) -> str:
    outcome = {None: "no outcome yet", 0: "failed", 1: "succeeded"}.get(program["processingStatus"], "no outcome yet")
    parts = [f"{program['autoProcProgramId']} {program['processingPrograms'] or ''}: {outcome}"]
    if program["processingStartTime"]:
        parts.append(f"started {moment(program['processingStartTime'])}")
    if program["processingEndTime"]:
        label = "last heard of" if program["processingStatus"] is None else "ended"
        parts.append(f"{label} {moment(program['processingEndTime'])}")
    if program["processingMessage"]:
        parts.append(f"said: {program['processingMessage']}")
    return ", ".join(parts)


def _sentinels(sentinels: Json) -> str:
    if sentinels["files"]:
        return ", ".join(f"{file['name']} since {moment(file['since'])}" for file in sentinels["files"])
    return {
        "seen": "its directory is there, without a sentinel",
        "absent": "none, and no directory (which proves nothing)",
        "unknown": "unknown: the file system did not answer in time",
    }.get(sentinels["checked"], "not looked for")


def _stop(stop: Json) -> list[str]:
    why = f", and job {stop['replacedBy']} replaces it" if stop["replacedBy"] else ""
    lines = [_row("stop", f"asked by {stop['requestedBy']} at {moment(stop['requestedAt'])}{why}")]
    if messages := stop["messages"]:
        lines.append(_row("", f"{len(messages)} so far; {_delivery('the last stop message', messages[-1])}"))
    return lines
