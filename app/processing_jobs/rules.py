"""What state a job is in, why, and whether it blocks: pure functions of facts.

    launch ──► pending ──► submitted ──► queued ──► running ──► succeeded
                  │            │            │          │    └─► failed
                  └──── stop ──┴────────────┴──────────┴─► stopping ──► stopped

``pending``    saved; the broker has not confirmed the start message
``submitted``  confirmed; no program registered yet
``queued``     a program without start time, and nothing was seen of its run
``running``    a program with start time and no outcome, or the run's own directory or sentinel was seen
``stopping``   a stop was asked, and it has not ended yet
``succeeded``, ``failed``  the outcome in ISPyB
``stopped``    ended without success after a stop was asked, cancelled before any send, or given up

The database outranks the file system: what is seen there can move a state forward, never back.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum

from app.filesystem.sentinel import SentinelLook
from app.zocalo.outbox import Delivery
from app.zocalo.queue import Queue


class State(StrEnum):
    """The state of a job; see the module's text."""

    PENDING = "pending"
    SUBMITTED = "submitted"
    QUEUED = "queued"
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"


ENDED = frozenset({State.SUCCEEDED, State.FAILED, State.STOPPED})


@dataclass(frozen=True)
class Program:
    """An ``AutoProcProgram``: one run, or a part of one.

    Args:
        command: the command line by which it was registered; our recipe puts the guid into it.
    """

    program_id: int
    parent_id: int | None
    programs: str | None
    status: int | None
    message: str | None
    start: datetime | None
    end: datetime | None
    recorded: datetime | None
    command: str | None = None


@dataclass(frozen=True)
class Launch:
    """What we wrote down when the job was launched through this service."""

    guid: str
    results_directory: str
    launched_by: str
    launched_at: datetime
    face: str
    seen_running_at: datetime | None


@dataclass(frozen=True)
class Stop:
    """The wish that a job stops.

    Args:
        replaced_by: the later launch that asked for it, if one did.
        messages: what became of the stop messages, oldest first.
    """

    asked_by: str
    asked_at: datetime
    replaced_by: int | None
    messages: Sequence[Delivery] = ()

    @property
    def waiting(self) -> bool:
        """Whether a stop message has not reached the broker yet."""
        return any(message.sent_at is None for message in self.messages)

    @property
    def last_sent_at(self) -> datetime | None:
        """When the broker confirmed the last stop message."""
        return max((message.sent_at for message in self.messages if message.sent_at is not None), default=None)


@dataclass(frozen=True)
class Limits:
    """The times after which something counts as over, or as worth a warning."""

    give_up: timedelta = timedelta(minutes=15)
    pickup: timedelta = timedelta(hours=24)
    warn_pickup: timedelta = timedelta(minutes=5)
    warn_silence: timedelta = timedelta(minutes=30)
    warn_stop: timedelta = timedelta(minutes=5)


@dataclass(frozen=True)
class Facts:
    """All that is known about one job at ``now``.

    Times are in UTC: differences of local times are wrong when the clocks change.

    Args:
        zone: in which people are told times.
        launch: ``None`` for a job from elsewhere, whose directory and message we do not know.
        start: what became of our start message, the last one if it was sent again.
        resends: those that staff had sent again, oldest first.
        look: what was seen in the run's directory; ``None`` if that is unknown or was not looked at.
        unknown: why the look got no answer.
        last_result: when the newest result was written into ISPyB.
        gain_reference: its path, for a run of ours that has not ended.
        gain_reference_missing: whether there was no file at that path.
        queue: what was last seen of Zocalo's queue; ``None`` if nobody here looks at it.
    """

    now: datetime
    job_id: int
    dcid: int
    recipe: str | None
    recorded: datetime
    launch: Launch | None = None
    start: Delivery | None = None
    resends: Sequence[Delivery] = ()
    programs: Sequence[Program] = ()
    stop: Stop | None = None
    look: SentinelLook | None = None
    unknown: str | None = None
    last_result: datetime | None = None
    gain_reference: str | None = None
    gain_reference_missing: bool = False
    queue: Queue | None = None
    limits: Limits = field(default_factory=Limits)
    zone: tzinfo = UTC

    @property
    def primary(self) -> list[Program]:
        """The programs that carry the job's outcome: those without a parent, but not the shadow of another."""
        found = [program for program in self.programs if program.parent_id is None] or list(self.programs)
        return [program for program in found if not self._is_shadow(program, found)]

    def _is_shadow(self, program: Program, others: Sequence[Program]) -> bool:
        """Whether a program stands for a start that came twice, and whose run goes by the other program.

        Zocalo registers a program for each, but both share one directory, and whoever came first has it. Without
        this, a job whose run has ended would wait for ever for the other.
        """
        if program.start is not None or program.status is not None or program.command is None:
            return False
        if self.launch is None or self.launch.guid not in program.command:
            return False
        return any(
            other is not program
            and other.command == program.command
            and (other.start is not None or other.status is not None)
            for other in others
        )

    @property
    def open(self) -> list[Program]:
        """Primary programs without an outcome."""
        return [program for program in self.primary if program.status is None]

    @property
    def seen_now(self) -> bool:
        """Whether the run's directory is there at this moment."""
        return self.look is not None and self.look.directory

    @property
    def ended(self) -> bool:
        """Whether ISPyB has the outcome of every primary program."""
        return bool(self.primary) and not self.open


@dataclass(frozen=True)
class Warned:
    """Something that a person should know."""

    code: str
    message: str


@dataclass(frozen=True)
class Status:
    """A job's state, and one sentence that says why."""

    state: State
    reason: str
    warnings: tuple[Warned, ...]


def status(facts: Facts) -> Status:
    """The state of a job, its reason, and what a person should know."""
    state, reason = _state(facts)
    return Status(state, reason, tuple(_warnings(facts, state)))


def _state(facts: Facts) -> tuple[State, str]:
    if facts.ended:
        return _outcome(facts)
    if facts.stop is not None:
        return _stopping(facts, facts.stop)
    if started := [program.start for program in facts.open if program.start is not None]:
        return State.RUNNING, f"Running since {min(started).astimezone(facts.zone):%d %b at %H:%M}."
    if facts.launch is not None and (facts.seen_now or facts.launch.seen_running_at is not None):
        since = facts.launch.seen_running_at
        seen = f"was first seen on {since.astimezone(facts.zone):%d %b at %H:%M}" if since else "is there"
        return State.RUNNING, f"Its results directory {seen}, so RELION has begun."
    if facts.open:
        return State.QUEUED, "Zocalo has registered it; it waits for a place on the cluster."
    if facts.start is not None and facts.start.sent_at is None and facts.start.cancelled_at is None:
        trouble = f" The last try failed: {facts.start.last_error}." if facts.start.last_error else ""
        return State.PENDING, f"Saved; the broker has not confirmed its start message yet.{trouble}"
    return State.SUBMITTED, "Zocalo has been told; nothing has picked it up yet."


def stopped_before_it_began(facts: Facts) -> bool:
    """Whether the job was asked to stop before any of its programs began, so that a success may be none.

    RELION's wrapper of python-relion 0.13.16 that finds its stop file at once leaves, and reports success.
    """
    asked_at = None if facts.stop is None else facts.stop.asked_at
    starts = [program.start for program in facts.primary if program.start is not None]
    return facts.ended and asked_at is not None and bool(starts) and all(start > asked_at for start in starts)


def _outcome(facts: Facts) -> tuple[State, str]:
    if facts.stop is not None and facts.last_result is None and stopped_before_it_began(facts):
        return State.STOPPED, f"Stopped by {facts.stop.asked_by} before it began; it has found nothing."
    if any(program.status for program in facts.primary):
        return State.SUCCEEDED, "RELION has finished."
    message = next((program.message for program in reversed(facts.primary) if program.message), None)
    said = f" It said: {message}" if message else ""
    if facts.stop is not None:
        return State.STOPPED, f"Stopped by {facts.stop.asked_by}.{said}"
    return State.FAILED, f"RELION has failed.{said}"


def _stopping(facts: Facts, stop: Stop) -> tuple[State, str]:
    if given_up(facts):
        return State.STOPPED, (
            "Given up: there was no sign of life for long after the last stop message. "
            "It was not seen to end; if its files still change, tell the facility's staff."
        )
    when = stop.asked_at.astimezone(facts.zone)
    asked = f"A stop was asked by {stop.asked_by} at {when:%H:%M}"
    if stop.replaced_by:
        asked += f", and job {stop.replaced_by} replaces it"
    if not stop.messages:
        return State.STOPPING, (
            f"{asked}; but nothing was sent, for Zocalo's recipe would have stopped a later job of this data "
            "collection instead."
        )
    trouble = None if facts.queue is None or facts.programs else facts.queue.trouble
    return State.STOPPING, f"{asked}; it has not ended yet{f', and {trouble}' if trouble else ''}."


def given_up(facts: Facts) -> bool:
    """Whether a stop counts as done because nothing was heard or seen for long.

    Not while a stop message waits for the broker. Where the run's files do not answer they may be changing: then it
    takes as long as for a job that nobody picked up.
    """
    if facts.stop is None or facts.ended:
        return False
    limits = facts.limits
    wait = limits.give_up if facts.unknown is None else max(limits.give_up, limits.pickup)
    return is_silent(facts.stop, last_sign(facts), facts.now, wait)


def is_silent(stop: Stop, life: datetime | None, now: datetime, wait: timedelta) -> bool:
    """Whether nothing was heard for so long after the last stop message, of which none waits for the broker.

    Args:
        life: the last sign of life, if there was any.
    """
    if stop.waiting:
        return False
    after = max(filter(None, [stop.asked_at, stop.last_sent_at]))
    return now - (after if life is None else max(after, life)) >= wait


def last_sign(facts: Facts) -> datetime | None:
    """When the job last gave a sign of life: a program registered or updated, a file, a result."""
    signs: list[datetime | None] = [facts.last_result]
    for program in facts.programs:
        signs += [program.recorded, program.start, program.end]
    if facts.look is not None:
        signs.append(facts.look.newest)
    if facts.launch is not None:
        signs.append(facts.launch.seen_running_at)
    # A clock ahead of ours, or an end time that was planned, is no sign from the future.
    return max((min(sign, facts.now) for sign in signs if sign is not None), default=None)


def blocks(facts: Facts, state: State, recipes: Collection[str]) -> bool:
    """Whether another launch on the same data collection must wait for this job or replace it."""
    if state in ENDED or facts.recipe not in recipes:
        return False
    if facts.stop is not None and facts.stop.replaced_by is not None:
        return False
    # A pending start will still be sent, however old it is.
    return state is State.PENDING or not forgotten(facts)


def forgotten(facts: Facts) -> bool:
    """Whether no program has registered, and nothing was seen of a run, for so long that nobody waits any more."""
    heard = max(filter(None, [_sent(facts), last_sign(facts)]))
    return not facts.programs and facts.now - heard >= facts.limits.pickup


def since(facts: Facts, state: State) -> datetime:
    """Since when a job is in its state, as far as that is known."""
    if facts.ended:
        return max((program.end for program in facts.primary if program.end is not None), default=facts.recorded)
    if state is State.STOPPING and facts.stop is not None:
        return facts.stop.asked_at
    if state is State.RUNNING:
        started = [program.start for program in facts.open if program.start is not None]
        if not started and facts.launch is not None and facts.launch.seen_running_at is not None:
            started = [facts.launch.seen_running_at]
        return min(started, default=facts.recorded)
    return facts.recorded


def _sent(facts: Facts) -> datetime:
    if facts.start is not None and facts.start.sent_at is not None:
        return facts.start.sent_at
    return facts.recorded


def _minutes(span: timedelta) -> str:
    minutes = int(span.total_seconds() // 60)
    if minutes >= 120:
        return f"{minutes // 60} hours"
    return f"{minutes} minute{'' if minutes == 1 else 's'}" if minutes else f"{span.total_seconds():.0f} seconds"


def _sentinel_gone(facts: Facts) -> bool:
    """Whether a run that was seen is not there any more, or has left without the sentinel that it once wrote."""
    if facts.look is None or facts.launch is None:
        return False
    vanished = facts.launch.seen_running_at is not None and not facts.look.directory
    return vanished or (facts.look.has_run and not facts.look.sentinels)


def _why_not_picked_up(facts: Facts) -> str:
    """The likely reason, by what was last seen of the queue."""
    queue = facts.queue
    if queue is None:
        return "Zocalo may be down, or its queue long or missing."
    if queue.trouble is not None:
        return f"The likely reason: {queue.trouble}."
    if queue.waiting:
        return f"Zocalo is behind: {queue.waiting} of its messages wait in {queue.name}."
    if queue.dead_letters:
        return (
            f"Its message has left the queue, and Zocalo has rejected {queue.dead_letters} that lie in "
            f"{queue.dead_letter_queue}; this may be one of them."
        )
    if queue.waiting is None:
        return "Somebody listens to Zocalo's queue; it may be long."
    return "Its message has left the queue, yet no program was registered; it can be sent again."


def _warnings(facts: Facts, state: State) -> list[Warned]:
    out = []
    limits = facts.limits
    if facts.unknown is not None:
        out.append(
            Warned("files-unknown", f"The visit's files did not answer, so sentinels are unknown: {facts.unknown}")
        )
    sentinel = facts.look is not None and bool(facts.look.sentinels)
    waited = facts.now - _sent(facts)
    if state in (State.SUBMITTED, State.RUNNING) and forgotten(facts):
        out.append(
            Warned(
                "not-picked-up",
                f"No program has registered for this job for {_minutes(waited)}. It no longer blocks the data "
                "collection; it will still run if Zocalo finds its message, so stop it before you start another.",
            )
        )
    elif state is State.SUBMITTED and waited >= limits.warn_pickup:
        out.append(
            Warned(
                "not-picked-up",
                f"Nobody has picked this job up for {_minutes(waited)}. {_why_not_picked_up(facts)} "
                "Tell the facility's staff, who can run 'synchweb-em doctor'.",
            )
        )
    if state is State.PENDING and facts.start is not None and facts.now - facts.start.queued_at >= limits.warn_pickup:
        why = f" The last try failed: {facts.start.last_error}." if facts.start.last_error else ""
        out.append(
            Warned(
                "not-sent",
                f"The broker has not taken the start message for {_minutes(facts.now - facts.start.queued_at)}.{why} "
                "It is sent as soon as the broker takes it; no need to start again. Tell the facility's staff, who can "
                "run 'synchweb-em doctor'.",
            )
        )
    if state is State.STOPPING and facts.stop is not None and facts.now - facts.stop.asked_at >= limits.warn_stop:
        out.append(
            Warned(
                "stop-overdue",
                f"The stop was asked {_minutes(facts.now - facts.stop.asked_at)} ago and the job has not ended. "
                "If it goes on, tell the facility's staff; a restart does not wait for it.",
            )
        )
    if state is State.RUNNING:
        life = last_sign(facts)
        if life is not None and facts.now - life >= limits.warn_silence:
            out.append(
                Warned(
                    "no-sign-of-life",
                    f"No sign of life for {_minutes(facts.now - life)}; RELION may have died. Restart it if movies are "
                    "still coming, or ask the facility's staff to look at the cluster.",
                )
            )
        if _sentinel_gone(facts):
            out.append(
                Warned(
                    "sentinel-gone",
                    "Its sentinel has gone, but ISPyB has no outcome: RELION has ended or died, and nobody said so. "
                    "Look at its results directory; stop the job if nothing happens there.",
                )
            )
    if facts.gain_reference_missing and state not in ENDED:
        out.append(
            Warned(
                "gain-reference-missing", f"The gain reference {facts.gain_reference} is missing; RELION runs without."
            )
        )
    if state in (State.FAILED, State.STOPPED) and facts.ended and sentinel:
        out.append(
            Warned(
                "sentinel-after-end", "ISPyB says that it has ended without success, yet a sentinel says that it runs."
            )
        )
    return out
