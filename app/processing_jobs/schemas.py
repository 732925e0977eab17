"""Native bodies about jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, field_validator

from app.data_collections.movies import MoviesRequest
from app.data_collections.rules import DataCollection
from app.data_collections.schemas import DataCollectionBody, MoviesBody
from app.http.schemas import MAX_ID, Body, Request
from app.processing_jobs.launching import Check, Launched, Order
from app.processing_jobs.relion import RelionParameters, StoredParameters
from app.processing_jobs.rules import Program, State, since
from app.processing_jobs.watching import Watched
from app.visits.rules import Visit
from app.zocalo.outbox import Delivery

JobIds = Annotated[list[Annotated[int, Field(strict=True, ge=1, le=MAX_ID)]], Field(max_length=100)]

MOVIES: dict[str, Any] = {"imageDirectory": "raw", "acquisitionSoftware": "SerialEM", "imageSuffix": "tiff"}
TUTORIAL: dict[str, Any] = {
    "voltage": 200,
    "sphericalAberration": 1.4,
    "pixelSize": 0.885,
    "dosePerFrame": 1.277,
    "minimumDiameter": 150,
    "maximumDiameter": 180,
}


class LaunchCollectionBody(Request):
    """Launch RELION on a known data collection."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"parameters": TUTORIAL, "ifBlocked": "refuse"}]})

    parameters: RelionParameters = Field(examples=[TUTORIAL])
    if_blocked: Literal["refuse", "restart"] = Field(
        "refuse", description="what to do if jobs of this data collection wait or run"
    )
    replaces: JobIds | None = Field(
        None,
        description="with restart: the jobs that may be stopped; if another one blocks by then, 409",
        examples=[[]],
    )


class LaunchBody(LaunchCollectionBody):
    """Launch RELION for a set of movies."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"movies": MOVIES, "parameters": TUTORIAL}]})

    movies: MoviesBody = Field(examples=[MOVIES])

    def request(self) -> MoviesRequest:
        """Which movies."""
        movies = self.movies
        return MoviesRequest(
            movies.image_directory, movies.acquisition_software, movies.image_suffix, movies.file_template
        )


class WarningBody(Body):
    """Something that a person should know."""

    code: str = Field(examples=["gain-reference-missing"])
    message: str


class BlockingBody(Body):
    """A job that blocks."""

    processing_job_id: int
    state: State
    since: datetime


class LaunchCheckBody(Body):
    """What the button should say before it is pressed."""

    data_collection_id: int | None = Field(description="null if a launch would create it")
    files_exist: bool | None = Field(description="null: the file system did not answer in time")
    action: Literal["start", "stop-and-restart", "none"]
    reason: str
    blocking_jobs: list[BlockingBody]
    warnings: list[WarningBody]

    @classmethod
    def of(cls, check: Check) -> Self:
        """Write a check."""
        return cls(
            data_collection_id=check.dcid,
            files_exist=check.files_exist,
            action=check.action,
            reason=check.reason,
            blocking_jobs=[
                BlockingBody(processing_job_id=job.job_id, state=job.state, since=job.since) for job in check.blocking
            ],
            warnings=[WarningBody(code=warning.code, message=warning.message) for warning in check.warnings],
        )


class LaunchedBody(Body):
    """A job that was accepted."""

    processing_job_id: int = Field(examples=[6611642])
    data_collection_id: int = Field(examples=[6018191])
    data_collection_created: bool
    guid: str = Field(description="Zocalo's recipe id, and the last part of the results directory")
    results_directory: str
    stopped_jobs: list[int] = Field(description="the jobs that were asked to stop for this one")
    state: State = Field(description="always pending: the broker has not been spoken to yet")
    warnings: list[WarningBody]
    links: dict[str, str]

    @classmethod
    def of(cls, launched: Launched, prefix: str) -> Self:
        """Write an accepted launch."""
        job = f"{prefix}/processing-jobs/{launched.job_id}"
        return cls(
            processing_job_id=launched.job_id,
            data_collection_id=launched.dcid,
            data_collection_created=launched.created,
            guid=launched.guid,
            results_directory=launched.results_directory,
            stopped_jobs=launched.stopped_jobs,
            state=State.PENDING,
            warnings=[WarningBody.model_validate(warning) for warning in launched.warnings],
            links={"status": job, "parameters": f"{job}/parameters", "stop": f"{job}/stop"},
        )


class LatestJobBody(Body):
    """A job in short."""

    processing_job_id: int
    state: State
    reason: str
    blocking: bool = Field(description="whether another launch must wait for it or replace it")
    record_timestamp: datetime


class DataCollectionWithJobBody(DataCollectionBody):
    """A data collection with its latest RELION job."""

    latest_job: LatestJobBody | None

    @classmethod
    def of(cls, collection: DataCollection, visit: Visit, watched: Watched | None) -> Self:
        """Write a data collection."""
        return cls(
            data_collection_id=collection.dcid,
            visit=str(visit.ref),
            image_directory=collection.image_directory,
            file_template=collection.file_template,
            image_prefix=collection.image_prefix,
            image_suffix=collection.image_suffix,
            data_collection_number=collection.number,
            start_time=collection.start,
            end_time=collection.end,
            run_status=collection.run_status,
            comments=collection.comments,
            latest_job=None
            if watched is None
            else LatestJobBody(
                processing_job_id=watched.job.facts.job_id,
                state=watched.status.state,
                reason=watched.status.reason,
                blocking=watched.blocking,
                record_timestamp=watched.job.facts.recorded,
            ),
        )


class ProgramBody(Body):
    """An AutoProcProgram: one run, or a part of one."""

    auto_proc_program_id: int
    parent_auto_proc_program_id: int | None
    processing_programs: str | None
    processing_status: int | None = Field(description="null while it has no outcome, 1 success, 0 failure")
    processing_message: str | None
    processing_start_time: datetime | None
    processing_end_time: datetime | None = Field(description="a heart-beat while there is no outcome")
    record_time_stamp: datetime | None

    @classmethod
    def of(cls, program: Program) -> Self:
        """Write a program."""
        return cls(
            auto_proc_program_id=program.program_id,
            parent_auto_proc_program_id=program.parent_id,
            processing_programs=program.programs,
            processing_status=program.status,
            processing_message=program.message,
            processing_start_time=program.start,
            processing_end_time=program.end,
            record_time_stamp=program.recorded,
        )


class LaunchRecordBody(Body):
    """What was written down when the job was launched here."""

    guid: str
    results_directory: str
    launched_by: str
    launched_at: datetime
    face: str
    replaces: list[int]


class SentinelBody(Body):
    """A sentinel file."""

    name: str = Field(examples=["RUNNING_RELION_IT"])
    since: datetime


class SentinelsBody(Body):
    """What was seen of the run's directory."""

    checked: Literal["seen", "absent", "unknown", "not-looked"] = Field(
        description="unknown: the file system did not answer; absent proves nothing, newer wrappers write no sentinels"
    )
    files: list[SentinelBody]
    seen_running_at: datetime | None = Field(description="the first sight of the run's directory")


class MessageBody(Body):
    """Delivery of one message to the broker."""

    state: Literal["pending", "sent", "cancelled"]
    queued_at: datetime
    attempts: int
    sent_at: datetime | None = Field(description="when the broker confirmed it")
    last_error: str | None

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        """Write a delivery."""
        state: Literal["pending", "sent", "cancelled"] = "pending"
        if delivery.sent_at is not None:
            state = "sent"
        elif delivery.cancelled_at is not None:
            state = "cancelled"
        return cls(
            state=state,
            queued_at=delivery.queued_at,
            attempts=delivery.attempts,
            sent_at=delivery.sent_at,
            last_error=delivery.last_error,
        )


class ResendBody(Request):
    """Why a job's start is to be sent again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "broker lost its disk at 02:40"}]})

    reason: str = Field(
        strict=True,
        min_length=1,
        max_length=255,
        description="kept beside the message",
        examples=["broker lost its disk at 02:40"],
    )

    @field_validator("reason")
    @classmethod
    def _says_something(cls, reason: str) -> str:
        if not reason.strip() or not reason.isprintable():
            raise ValueError("must be a line of text that says why")
        return reason.strip()


class ResentBody(Body):
    """A start that was sent again."""

    requested_by: str
    requested_at: datetime
    reason: str | None
    message: MessageBody

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        """Write it."""
        return cls(
            requested_by=delivery.login,
            requested_at=delivery.queued_at,
            reason=delivery.reason,
            message=MessageBody.of(delivery),
        )


class StopBody(Body):
    """The wish that the job stops."""

    requested_by: str
    requested_at: datetime
    replaced_by: int | None = Field(description="the later job that replaces this one")
    messages: list[MessageBody]


class JobBody(Body):
    """A processing job: its state, why, and all the evidence."""

    processing_job_id: int = Field(examples=[6611642])
    data_collection_id: int = Field(examples=[6018191])
    visit: str = Field(examples=["cm28212-1"])
    recipe: str | None
    display_name: str | None
    comments: str | None
    automatic: bool | None
    record_timestamp: datetime
    state: State
    since: datetime = Field(description="since when, as far as that is known; of an ended job when it ended")
    reason: str = Field(description="one sentence that says why")
    blocking: bool = Field(description="whether another launch must wait for it or replace it")
    launch: LaunchRecordBody | None = Field(description="null for a job that was launched elsewhere")
    message: MessageBody | None = Field(
        description="its start message, the last if it was sent again; null for a job that was launched elsewhere"
    )
    resends: list[ResentBody] = Field(description="when staff had its start sent again, oldest first")
    stop: StopBody | None
    sentinels: SentinelsBody
    programs: list[ProgramBody]
    warnings: list[WarningBody]

    @classmethod
    def of(cls, watched: Watched) -> Self:
        """Write a job."""
        facts, judged, job = watched.job.facts, watched.status, watched.job
        return cls(
            processing_job_id=facts.job_id,
            data_collection_id=facts.dcid,
            visit=str(watched.visit.ref),
            recipe=facts.recipe,
            display_name=job.display_name,
            comments=job.comments,
            automatic=job.automatic,
            record_timestamp=facts.recorded,
            state=judged.state,
            since=since(facts, judged.state),
            reason=judged.reason,
            blocking=watched.blocking,
            launch=None
            if facts.launch is None
            else LaunchRecordBody(
                guid=facts.launch.guid,
                results_directory=facts.launch.results_directory,
                launched_by=facts.launch.launched_by,
                launched_at=facts.launch.launched_at,
                face=facts.launch.face,
                replaces=list(job.replaces),
            ),
            message=None if facts.start is None else MessageBody.of(facts.start),
            resends=[ResentBody.of(delivery) for delivery in facts.resends],
            stop=None
            if facts.stop is None
            else StopBody(
                requested_by=facts.stop.asked_by,
                requested_at=facts.stop.asked_at,
                replaced_by=facts.stop.replaced_by,
                messages=[MessageBody.of(message) for message in facts.stop.messages],
            ),
            sentinels=_sentinels(watched),
            programs=[ProgramBody.of(program) for program in facts.programs],
            warnings=[WarningBody(code=warning.code, message=warning.message) for warning in judged.warnings],
        )


def _sentinels(watched: Watched) -> SentinelsBody:
    facts = watched.job.facts
    checked: Literal["seen", "absent", "unknown", "not-looked"] = "not-looked"
    files = []
    if facts.unknown is not None:
        checked = "unknown"
    elif facts.look is not None:
        checked = "seen" if facts.look.directory else "absent"
        files = [SentinelBody(name=sentinel.name, since=sentinel.since) for sentinel in facts.look.sentinels]
    seen = None if facts.launch is None else facts.launch.seen_running_at
    return SentinelsBody(checked=checked, files=files, seen_running_at=seen)


class ParametersBody(Body):
    """What a job was launched with; ``parameters`` can be sent again."""

    processing_job_id: int
    parameters: dict[str, bool | int | float | str] = Field(examples=[TUTORIAL])
    import_images: str | None
    acquisition_software: str | None
    other: dict[str, str | None] = Field(description="keys of other software, as they are stored")

    @classmethod
    def of(cls, job_id: int, stored: StoredParameters) -> Self:
        """Write stored parameters."""
        return cls(
            processing_job_id=job_id,
            parameters=stored.parameters,
            import_images=stored.import_images,
            acquisition_software=stored.acquisition_software,
            other=stored.other,
        )


def order_of(body: LaunchCollectionBody, attempt: Any) -> Order:
    """What a client wants."""
    return Order(
        parameters=body.parameters,
        if_blocked=body.if_blocked,
        replaces=None if body.replaces is None else tuple(body.replaces),
        face="native",
        attempt=attempt,
    )
