"""The command ``wait``: watch a job until it has ended.

Exit codes: 0 succeeded, 1 failed, 2 stopped, 3 could not tell. A refusal is 3 as well: 1 would say that RELION failed.
"""

from __future__ import annotations

import math
import shutil
import sys
import time
from argparse import ArgumentTypeError, Namespace

from app.client import describe
from app.client.arguments import NO_ANSWER, Subparsers, add_command, identity, next_command, seconds
from app.client.http import ANSWER_TIMEOUT, Api, Json, NoAnswer, Refused
from app.client.output import complain, rewrite, say, show_failure, show_json

PATIENCE = 300.0  # seconds without any answer, unless --timeout says otherwise


def add_parser(subparsers: Subparsers) -> None:
    """Add ``wait``."""
    parser = add_command(
        subparsers,
        "wait",
        wait,
        "watch a job until it has ended",
        "Watch a job until it has ended. Exit code: 0 succeeded, 1 failed, 2 stopped, 3 could not tell.\n"
        "What happens meanwhile goes to standard error, the outcome to standard output.",
    )
    parser.add_argument("job", metavar="JOB", type=identity, help="number of the job")
    parser.add_argument("--timeout", metavar="SECONDS", type=seconds, help="give up after this time; the job goes on")
    parser.add_argument("--interval", metavar="SECONDS", type=_pause, default=2.0, help="between looks (default 2)")


def _pause(value: str) -> float:
    if (pause := seconds(value)) == 0:
        raise ArgumentTypeError("must be above 0")
    return pause


def wait(api: Api, arguments: Namespace) -> int:
    """Look again and again; the exit code is the outcome."""
    watch = _Watch()
    try:
        ended = _poll(api, arguments, watch)
    except Refused as refused:
        watch.wipe()
        show_failure(refused, as_json=arguments.json)
        return NO_ANSWER
    except KeyboardInterrupt:
        watch.wipe()
        ended = False
        complain(f"Interrupted; job {arguments.job} goes on.")
    if arguments.json and watch.job is not None:
        show_json(watch.job)
    if not ended or watch.job is None:
        complain(f"To wait again: {next_command(arguments, f'wait {arguments.job}')}")
        return NO_ANSWER
    if not arguments.json:
        say(f"Job {arguments.job} has {watch.verb} ({watch.elapsed()} waited). {watch.job['reason']}")
        if watch.job["state"] == "failed":
            say(f"Next: {next_command(arguments, f'status {arguments.job}')}")
    return describe.ENDED[watch.job["state"]]


def _poll(api: Api, arguments: Namespace, watch: _Watch) -> bool:
    """Whether the job was seen to have ended; if not, a person has been told why we stopped looking."""
    deadline = math.inf if arguments.timeout is None else watch.begun + arguments.timeout
    heard = watch.begun
    while True:
        try:
            left = max(1.0, deadline - time.monotonic())
            watch.see(api.get(f"/processing-jobs/{arguments.job}", seconds=min(ANSWER_TIMEOUT, left)))
            heard = time.monotonic()
        except NoAnswer as failure:
            watch.hear_nothing(failure.sentence)
        if watch.ended:
            watch.wipe()
            return True
        now = time.monotonic()
        if now >= deadline:
            watch.wipe()
            state = "of unknown state" if watch.trouble or watch.job is None else watch.job["state"]
            complain(f"Job {arguments.job} is still {state} after {arguments.timeout:g} seconds; it goes on.")
            return False
        if deadline == math.inf and now - heard >= PATIENCE:
            watch.wipe()
            complain(f"No answer for {PATIENCE:g} seconds. If job {arguments.job} runs, it goes on without us.")
            return False
        time.sleep(min(arguments.interval, deadline - now))


class _Watch:
    """What was seen of a job so far, and what a person was told of it."""

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self.job: Json | None = None
        self.trouble: str | None = None
        self._on_terminal = sys.stderr.isatty()
        self._shown: str | None = None
        self._warned: set[str] = set()

    @property
    def ended(self) -> bool:
        """Whether the job is over."""
        return self.job is not None and self.trouble is None and self.job["state"] in describe.ENDED

    @property
    def verb(self) -> str:
        """What an ended job has done or suffered."""
        state = "" if self.job is None else str(self.job["state"])
        return {"stopped": "been stopped"}.get(state, state)

    def elapsed(self) -> str:
        """How long we have watched, such as 0:02:45."""
        minutes, rest = divmod(int(time.monotonic() - self.begun), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"

    def see(self, job: Json) -> None:
        """Take in an answer, and tell what is new of it."""
        if self.trouble is not None:
            self._tell("The service answers again.")
        self.job, self.trouble = job, None
        for warning in job["warnings"]:
            if warning["code"] not in self._warned:
                self._warned.add(warning["code"])
                self._tell(f"WARNING: {warning['message']}")
        if self.ended:
            return
        if self._on_terminal:
            width = shutil.get_terminal_size().columns
            rewrite(f"job {job['processingJobId']}  {job['state']}  {self.elapsed()}  {job['reason']}", width)
        elif job["state"] != self._shown:
            self._tell(f"{self.elapsed()} {job['state']}: {job['reason']}")
        self._shown = job["state"]

    def hear_nothing(self, sentence: str) -> None:
        """Tell of a try without an answer, unless the one before was the same."""
        if sentence != self.trouble:
            self._tell(f"{sentence} Still trying; Ctrl-C gives up.")
        self.trouble = sentence

    def wipe(self) -> None:
        """Leave a terminal's line empty for what comes next."""
        if self._on_terminal:
            rewrite("", shutil.get_terminal_size().columns)

    def _tell(self, line: str) -> None:
        self.wipe()
        complain(line)
