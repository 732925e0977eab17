"""Native HTTP about data collections and their jobs."""

from __future__ import annotations

import json
from functools import cache
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, status
from fastapi.responses import Response

from app.access.identity import Person
from app.data_collections.movies import MoviesRequest
from app.http.dependencies import PersonDep, ResourcesDep
from app.http.polls import polled
from app.http.problems import responses
from app.http.schemas import PREFIX, Dcid, JobId, Limit, Page, PageNumber, VisitText
from app.processing_jobs import idempotency, launching, relion, resending, stopping, watching
from app.processing_jobs.schemas import (
    DataCollectionWithJobBody,
    JobBody,
    LaunchBody,
    LaunchCheckBody,
    LaunchCollectionBody,
    LaunchedBody,
    ParametersBody,
    ResendBody,
    order_of,
)
from app.visits.rules import VisitRef

router = APIRouter()

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="1 to 128 printable ASCII characters, such as a UUID. The same key and body within 24 h is "
        "answered as the first time, and launches nothing.",
        examples=["8e03978e-40d5-43dd-bc93-6894a57f9324"],
    ),
]


def _attempt(person: Person, route: str, key: str | None, body: LaunchCollectionBody) -> idempotency.Attempt | None:
    content: dict[str, Any] = body.model_dump(mode="json", exclude_unset=True)
    return idempotency.attempt(person.login, route, key, content)


@router.get(
    "/visits/{visit}/data-collections",
    operation_id="listDataCollections",
    summary="A visit's data collections, newest first",
    responses=responses(403, 404),
    tags=["visits"],
)
def list_data_collections(
    visit: VisitText, resources: ResourcesDep, person: PersonDep, limit: Limit = 50, page: PageNumber = 1
) -> Page[DataCollectionWithJobBody]:
    """Each with the state of its latest RELION job."""
    total, items, found = watching.list_collections_of_visit(
        resources, person, VisitRef.parse(visit), limit=limit, page=page
    )
    return Page(total=total, items=[DataCollectionWithJobBody.of(collection, found, job) for collection, job in items])


@router.get(
    "/visits/{visit}/launch-check",
    operation_id="checkLaunch",
    summary="What the button should say before it is pressed",
    responses=responses(403, 404),
    tags=["launch"],
)
def check_launch(
    visit: VisitText,
    resources: ResourcesDep,
    person: PersonDep,
    image_directory: Annotated[str, Query(alias="imageDirectory", min_length=1, max_length=255, examples=["raw"])],
    acquisition_software: Annotated[str | None, Query(alias="acquisitionSoftware", examples=["SerialEM"])] = None,
    image_suffix: Annotated[str | None, Query(alias="imageSuffix", examples=["tiff"])] = None,
    file_template: Annotated[str | None, Query(alias="fileTemplate", max_length=255)] = None,
) -> LaunchCheckBody:
    """Whether these movies exist, are a data collection already, and whether jobs of it wait or run."""
    request = MoviesRequest(image_directory, acquisition_software, image_suffix, file_template)
    return LaunchCheckBody.of(launching.check_movies(resources, person, VisitRef.parse(visit), request))


@router.post(
    "/visits/{visit}/launch",
    operation_id="launch",
    summary="The button: launch RELION for a set of movies",
    status_code=status.HTTP_202_ACCEPTED,
    responses=responses(403, 404, 409),
    tags=["launch"],
)
def launch(
    visit: VisitText, body: LaunchBody, resources: ResourcesDep, person: PersonDep, key: IdempotencyKey = None
) -> LaunchedBody:
    """Finds or creates the data collection, writes the job, and lets Zocalo know.

    The answer waits for the database, never for the broker: the job is *pending* until the broker has confirmed.
    """
    ref = VisitRef.parse(visit)
    order = order_of(body, _attempt(person, f"visits/{ref}/launch", key, body))
    return LaunchedBody.of(launching.launch_movies(resources, person, ref, body.request(), order), PREFIX)


@router.get(
    "/data-collections/{dcid}",
    operation_id="getDataCollection",
    summary="A data collection with its latest RELION job",
    responses=responses(403, 404),
    tags=["data collections"],
    dependencies=[Depends(polled)],
)
def get_data_collection(dcid: Dcid, resources: ResourcesDep, person: PersonDep) -> DataCollectionWithJobBody:
    """As ISPyB has it."""
    collection, watched, visit = watching.get_collection(resources, person, dcid)
    return DataCollectionWithJobBody.of(collection, visit, watched)


@router.get(
    "/data-collections/{dcid}/launch-check",
    operation_id="checkLaunchOfDataCollection",
    summary="What the button should say for a known data collection",
    responses=responses(403, 404),
    tags=["launch"],
)
def check_launch_of_collection(dcid: Dcid, resources: ResourcesDep, person: PersonDep) -> LaunchCheckBody:
    """Whether it may be started, or what would be stopped."""
    return LaunchCheckBody.of(launching.check_collection(resources, person, dcid))


@router.post(
    "/data-collections/{dcid}/launch",
    operation_id="launchDataCollection",
    summary="The button, for a known data collection",
    status_code=status.HTTP_202_ACCEPTED,
    responses=responses(403, 404, 409),
    tags=["launch"],
)
def launch_collection(
    dcid: Dcid, body: LaunchCollectionBody, resources: ResourcesDep, person: PersonDep, key: IdempotencyKey = None
) -> LaunchedBody:
    """As for a set of movies; that there is no movie yet is a warning."""
    order = order_of(body, _attempt(person, f"data-collections/{dcid}/launch", key, body))
    return LaunchedBody.of(launching.launch_collection(resources, person, dcid, order), PREFIX)


@router.get(
    "/data-collections/{dcid}/processing-jobs",
    operation_id="listProcessingJobs",
    summary="A data collection's RELION jobs, newest first",
    responses=responses(403, 404),
    tags=["data collections"],
    dependencies=[Depends(polled)],
)
def list_processing_jobs(
    dcid: Dcid, resources: ResourcesDep, person: PersonDep, limit: Limit = 50, page: PageNumber = 1
) -> Page[JobBody]:
    """Each with its state."""
    found = watching.list_jobs_of_collection(resources, person, dcid, limit=limit, page=page)
    return Page(total=found.total, items=[JobBody.of(watched) for watched in found.items])


@router.get(
    "/processing-jobs/{jobId}",
    operation_id="getProcessingJob",
    summary="What became of a job",
    responses=responses(403, 404),
    tags=["processing jobs"],
    dependencies=[Depends(polled)],
)
def get_processing_job(jobId: JobId, resources: ResourcesDep, person: PersonDep) -> JobBody:  # noqa: N803
    """Its state, one sentence saying why, and the evidence: programs, sentinels, message delivery, stop request."""
    return JobBody.of(watching.get_job(resources, person, jobId))


@router.get(
    "/processing-jobs/{jobId}/parameters",
    operation_id="getProcessingJobParameters",
    summary="What a job was launched with",
    responses=responses(403, 404),
    tags=["processing jobs"],
)
def get_parameters(jobId: JobId, resources: ResourcesDep, person: PersonDep) -> ParametersBody:  # noqa: N803
    """Typed, and named as a launch takes them."""
    return ParametersBody.of(jobId, watching.get_parameters(resources, person, jobId))


@router.post(
    "/processing-jobs/{jobId}/stop",
    operation_id="stopProcessingJob",
    summary="Ask that a job stops",
    status_code=status.HTTP_202_ACCEPTED,
    responses=responses(403, 404, 409),
    tags=["processing jobs"],
)
def stop(jobId: JobId, resources: ResourcesDep, person: PersonDep) -> JobBody:  # noqa: N803
    """To ask again changes nothing. A job whose start was never sent is cancelled at once."""
    stopping.stop(resources, person, jobId)
    return JobBody.of(watching.get_job(resources, person, jobId))


@router.post(
    "/processing-jobs/{jobId}/resend",
    operation_id="resendProcessingJob",
    summary="Send the start of a job again that nobody picked up",
    status_code=status.HTTP_202_ACCEPTED,
    responses=responses(403, 404, 409),
    tags=["processing jobs"],
)
def resend(jobId: JobId, body: ResendBody, resources: ResourcesDep, person: PersonDep) -> JobBody:  # noqa: N803
    """For staff, with a reason that is kept. With the same guid, so that a start that turns up twice runs once."""
    resending.resend(resources, person, jobId, body.reason)
    return JobBody.of(watching.get_job(resources, person, jobId))


@router.get(
    "/relion/parameters-schema",
    operation_id="getParametersSchema",
    summary="JSON Schema of RELION's parameters",
    response_model=dict[str, Any],
    responses=responses(),
    tags=["launch"],
)
def get_parameters_schema(resources: ResourcesDep, person: PersonDep) -> Response:
    """With units, limits, defaults and conditions."""
    return Response(_schema(resources.settings.relion.voltages), media_type="application/json")


@cache
def _schema(voltages: tuple[int, ...]) -> bytes:
    """As it is sent: it changes with the settings only."""
    return json.dumps(relion.json_schema(voltages), ensure_ascii=False, separators=(",", ":")).encode()
