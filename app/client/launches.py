"""The commands about the button: what it would say, and pressing it."""

from __future__ import annotations

import argparse
import json
import uuid
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from app.client import describe
from app.client.arguments import DONE, Subparsers, add_command, ascii_word, identity, next_command, setting, text
from app.client.http import Api, Failed, Json, NoAnswer, Refused
from app.client.output import complain, say, show_json

COMPUTED = ("maskDiameter", "boxSize", "downsampledBoxSize")  # by the service, when they are left out
COMPUTED_FROM = ("pixelSize", "maximumDiameter")

EXAMPLES = """\
examples:
  synchweb-em start cm28212-1 raw --software SerialEM --suffix tiff -p voltage=200 -p sphericalAberration=1.4 \\
      -p pixelSize=0.885 -p dosePerFrame=1.277 -p minimumDiameter=150 -p maximumDiameter=180
  synchweb-em parameters 6611642 --json > like-last-time.json
  synchweb-em start --dcid 6018191 --parameters like-last-time.json -p doClass3D=false

Required are pixelSize, dosePerFrame, minimumDiameter and maximumDiameter. All names with units and limits stand at
/api/em/v1/relion/parameters-schema of the service."""


def add_parsers(subparsers: Subparsers) -> None:
    """Add ``check``, ``start`` and ``restart``."""
    check_parser = add_command(subparsers, "check", check, "what would happen if RELION were started; changes nothing")
    _add_movies(check_parser)

    start_parser = add_command(
        subparsers,
        "start",
        start,
        "start RELION",
        "Start RELION on movies or on a known data collection. Refused if a job waits or runs there already.",
        EXAMPLES,
    )
    _add_movies(start_parser)
    start_parser.add_argument(
        "--parameters", metavar="FILE", type=Path, help="a JSON object, or what 'parameters --json' prints"
    )
    _add_settings(start_parser)
    start_parser.add_argument(
        "--key",
        metavar="IDEMPOTENCY_KEY",
        type=ascii_word,
        help="of an earlier try whose answer was lost: the same command with its key cannot start twice",
    )

    restart_parser = add_command(
        subparsers,
        "restart",
        restart,
        "stop a job if it has not ended, and start RELION again with its parameters",
        "Start RELION again on the data collection of a job, with its parameters.\n"
        "The job is stopped if it has not ended; no other job ever is.",
    )
    restart_parser.add_argument("job", metavar="JOB", type=identity, help="number of the job")
    _add_settings(restart_parser)


def _add_movies(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("visit", metavar="VISIT", nargs="?", type=text, help="such as cm28212-1")
    parser.add_argument(
        "directory", metavar="DIRECTORY", nargs="?", type=text, help="of the movies, relative to the visit's"
    )
    parser.add_argument("--dcid", metavar="N", type=identity, help="a known data collection, instead of all the others")
    parser.add_argument("--software", metavar="EPU|SerialEM", type=text, help="that wrote the movies; with --suffix")
    parser.add_argument("--suffix", type=text, help="of the movies: tif, tiff, mrc or eer")
    parser.add_argument("--template", type=text, help="of the movies within DIRECTORY, in quotes: 'Frames/*.tiff'")


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-p",
        dest="settings",
        metavar="NAME=VALUE",
        type=setting,
        action="append",
        default=[],
        help="a parameter, as often as needed; NAME=null leaves it out",
    )


def check(api: Api, arguments: Namespace) -> int:
    """Say what the button would say."""
    path, movies = _target(arguments)
    answer = api.get(f"{path}/launch-check", movies)
    if arguments.json:
        show_json(answer)
    else:
        say(*describe.check(answer))
        if len(answer["blockingJobs"]) == 1:
            number = answer["blockingJobs"][0]["processingJobId"]
            say("", f"Next: {next_command(arguments, f'restart {number}')}")
    return DONE


def start(api: Api, arguments: Namespace) -> int:
    """Press the button where nothing waits or runs."""
    path, movies = _target(arguments)
    given = {} if arguments.parameters is None else _read_file(arguments)
    body: Json = {"parameters": _merge(given, arguments), "ifBlocked": "refuse", "replaces": []}
    if movies is not None:
        body["movies"] = movies
    key = arguments.key or str(uuid.uuid4())
    try:
        return _launch(api, arguments, path, body, key)
    except (NoAnswer, Refused, KeyboardInterrupt) as failure:
        if _is_unsettled(failure):
            failure.add_note(
                "It is not known whether RELION was started. To find out and start it if not, type the same command "
                f"again with --key {key}"
            )
        raise


def restart(api: Api, arguments: Namespace) -> int:
    """Start again what a job did, in its place."""
    number: int = arguments.job
    dcid = api.get(f"/processing-jobs/{number}")["dataCollectionId"]
    stored = api.get(f"/processing-jobs/{number}/parameters")
    path = f"/data-collections/{dcid}"
    blocking = [job["processingJobId"] for job in api.get(f"{path}/launch-check")["blockingJobs"]]
    body = {
        "parameters": _merge(stored, arguments),
        "ifBlocked": "restart",
        "replaces": [number] if number in blocking else [],
    }
    try:
        return _launch(api, arguments, path, body, str(uuid.uuid4()))
    except (NoAnswer, Refused, KeyboardInterrupt) as failure:
        if _is_unsettled(failure):
            look = next_command(arguments, f"jobs --dcid {dcid}")
            failure.add_note(f"It is not known whether RELION was started again. Look before you try again: {look}")
        raise


def _launch(api: Api, arguments: Namespace, path: str, body: Json, key: str) -> int:
    try:
        answer = api.launch(f"{path}/launch", body, key, complain)
    except Refused as refused:
        _add_way_out(refused, arguments, body)
        raise
    if arguments.json:
        show_json(answer)
    else:
        number = answer["processingJobId"]
        say(*describe.launched(answer), "", f"Next: {next_command(arguments, f'wait {number}')}")
    return DONE


def _is_unsettled(failure: BaseException) -> bool:
    """Whether a launch may have happened although no answer says so."""
    if isinstance(failure, Refused):
        return failure.again
    return not isinstance(failure, Failed) or failure.reached


def _add_way_out(refused: Refused, arguments: Namespace, body: Json) -> None:
    """Say what to type about the jobs that block."""
    numbers = [number for number in refused.blocking if number not in body["replaces"]]
    if len(numbers) == 1 and body["ifBlocked"] == "refuse":
        refused.add_note("To stop it and start again with its parameters (change them with -p):")
        refused.add_note(f"  {next_command(arguments, f'restart {numbers[0]}')}")
    elif numbers:
        refused.add_note("To stop what blocks, and then try again:")
        for number in numbers:
            stop, wait = next_command(arguments, f"stop {number}"), next_command(arguments, f"wait {number}")
            refused.add_note(f"  {stop}; {wait}")


def _target(arguments: Namespace) -> tuple[str, dict[str, str] | None]:
    """The path of what is to be launched, and which movies if it is a visit."""
    movies = {
        "imageDirectory": arguments.directory,
        "acquisitionSoftware": arguments.software,
        "imageSuffix": arguments.suffix,
        "fileTemplate": arguments.template,
    }
    given = {name: value for name, value in movies.items() if value is not None}
    if arguments.dcid is not None:
        if arguments.visit or given:
            arguments.usage_error("--dcid says it all: give neither VISIT and DIRECTORY nor which movies")
        return f"/data-collections/{arguments.dcid}", None
    if arguments.directory is None:
        arguments.usage_error("give VISIT and DIRECTORY (side by side), or --dcid")
    if set(given) not in ({"imageDirectory", "acquisitionSoftware", "imageSuffix"}, {"imageDirectory", "fileTemplate"}):
        arguments.usage_error("say which movies: either --software and --suffix, or --template")
    return f"/visits/{quote(arguments.visit, safe='')}", given


def _read_file(arguments: Namespace) -> Json:
    """The parameters of a file, in the form that the service has for those of a job."""
    try:
        content = json.loads(arguments.parameters.read_text(encoding="utf-8"))
        json.dumps(content, allow_nan=False)
    except OSError as error:
        arguments.usage_error(f"cannot read {arguments.parameters}: {error.strerror}")
    except (ValueError, RecursionError) as error:
        arguments.usage_error(f"{arguments.parameters} is not JSON: {error}")
    if not isinstance(content, dict):
        arguments.usage_error(f"{arguments.parameters} is not a JSON object of parameters")
    return content if isinstance(content.get("parameters"), dict) else {"parameters": content}


def _merge(stored: Mapping[str, Any], arguments: Namespace) -> Json:
    """What was stored, changed by -p. A person is told of what does not come along, or does unexpectedly."""
    changes = dict(arguments.settings)
    known = stored.get("parameters", {})
    kept = [name for name in COMPUTED if name in known and name not in changes]
    if kept and any(name in changes and changes[name] != known.get(name) for name in COMPUTED_FROM):
        values = ", ".join(f"{name}={describe.value(known[name])}" for name in kept)
        null = " ".join(f"-p {name}=null" for name in kept)
        complain(f"Note: kept as they were: {values}. To have them computed again, add {null}")
    if other := stored.get("other"):
        lost = ", ".join(f"{name}={describe.value(given)}" for name, given in other.items())
        complain(f"Note: not sent, since the service does not know them: {lost}")
    return {name: given for name, given in {**known, **changes}.items() if given is not None}
