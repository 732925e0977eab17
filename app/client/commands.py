"""The commands for people, and those that are one question each: ``status``, ``stop``, ``resend``, ``jobs``,
``parameters``.

Exit codes: 0 done, 1 refused, 3 no answer, 64 usage; those of ``wait`` stand in ``waiting.py``.
"""

from __future__ import annotations

from argparse import Namespace
from urllib.parse import quote

from app.client import describe, launches, waiting
from app.client.arguments import DONE, Subparsers, add_command, identity, next_command, text
from app.client.http import Api, NoAnswer
from app.client.output import say, show_json


def add_parsers(subparsers: Subparsers) -> None:
    """Add all commands for people; each sets ``run``, which takes the arguments and returns the exit code."""
    launches.add_parsers(subparsers)
    one_job = (
        ("status", status, "what became of a job: its state, why, and the evidence"),
        ("stop", stop, "ask that a job stops; to ask again changes nothing"),
        ("parameters", parameters, "what a job was started with"),
    )
    for name, command, summary in one_job:
        parser = add_command(subparsers, name, command, summary)
        parser.add_argument("job", metavar="JOB", type=identity, help="number of the job")
    parser = add_command(subparsers, "resend", resend, "for staff: send the start of a job again that nobody picked up")
    parser.add_argument("job", metavar="JOB", type=identity, help="number of the job")
    parser.add_argument("--reason", metavar="TEXT", required=True, type=text, help="why; kept with the job")
    waiting.add_parser(subparsers)
    parser = add_command(
        subparsers, "jobs", jobs, "a visit's data collections with their latest jobs, or all jobs of one of them"
    )
    parser.add_argument("visit", metavar="VISIT", nargs="?", type=text, help="such as cm28212-1")
    parser.add_argument("--dcid", metavar="N", type=identity, help="all jobs of this data collection instead")


def status(api: Api, arguments: Namespace) -> int:
    """Show a job."""
    answer = api.get(f"/processing-jobs/{arguments.job}")
    if arguments.json:
        show_json(answer)
    else:
        say(*describe.job(answer))
    return DONE


def stop(api: Api, arguments: Namespace) -> int:
    """Ask that a job stops."""
    try:
        answer = api.post(f"/processing-jobs/{arguments.job}/stop")
    except NoAnswer as failure:
        if failure.reached:
            failure.add_note("It is not known whether the stop was noted. To ask again does no harm.")
        raise
    if arguments.json:
        show_json(answer)
        return DONE
    say(f"Job {answer['processingJobId']} is {answer['state']}. {answer['reason']}", *describe.warnings(answer))
    if answer["state"] not in describe.ENDED:
        say("", f"Next: {next_command(arguments, f'wait {arguments.job}')}")
    return DONE


def resend(api: Api, arguments: Namespace) -> int:
    """Have the start of a job sent again."""
    try:
        answer = api.post(f"/processing-jobs/{arguments.job}/resend", {"reason": arguments.reason})
    except NoAnswer as failure:
        if failure.reached:
            failure.add_note(
                f"It is not known whether it is sent again: {next_command(arguments, f'status {arguments.job}')}"
            )
        raise
    if arguments.json:
        show_json(answer)
        return DONE
    say(f"Job {answer['processingJobId']} is sent again, to the same directory.", *describe.warnings(answer))
    say("", f"Next: {next_command(arguments, f'wait {arguments.job}')}")
    return DONE


def jobs(api: Api, arguments: Namespace) -> int:
    """List data collections with their latest jobs, or the jobs of one."""
    if (arguments.visit is None) == (arguments.dcid is None):
        arguments.usage_error("give either VISIT or --dcid")
    if arguments.dcid is None:
        answer = api.get_all(f"/visits/{quote(arguments.visit, safe='')}/data-collections")
        lines = describe.collections(answer["items"])
        none = f"{arguments.visit} has no data collections yet."
    else:
        answer = api.get_all(f"/data-collections/{arguments.dcid}/processing-jobs")
        lines = describe.jobs(answer["items"])
        none = f"Data collection {arguments.dcid} has no RELION jobs yet."
    if arguments.json:
        show_json(answer)
    else:
        say(*(lines if answer["items"] else [none]))
    return DONE


def parameters(api: Api, arguments: Namespace) -> int:
    """Show what a job was started with."""
    answer = api.get(f"/processing-jobs/{arguments.job}/parameters")
    if arguments.json:
        show_json(answer)
    else:
        say(*describe.parameters(answer))
    return DONE
