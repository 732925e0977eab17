"""``jobs`` and ``relion``: the list of runs, the dialog's form, start, stop, and what a job was started with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from app.data_collections.rules import Movies
from app.errors import Conflict, NotFound
from app.http.polls import polled
from app.processing_jobs import launching, runs, stopping, watching
from app.processing_jobs.blocking import JobsBlock
from app.processing_jobs.launching import Order
from app.processing_jobs.relion import ParametersInvalid, RelionParameters
from app.processing_jobs.targets import GainReferenceInvalid
from app.results.progress import find_progress
from app.synchweb import forms
from app.synchweb import runs as run_rows
from app.synchweb.answers import PAGING, PROP, answer, body, documented, not_served, query, refused
from app.synchweb.asking import Asked, GotDep, SentDep
from app.synchweb.errors import refusal
from app.synchweb.forms import FormInvalid

router = APIRouter(tags=["synchweb: RELION"])
EXAMPLE = {
    # As the dialog posts it: edited fields are text, others have their type.
    "wantGainReferenceFile": False,
    "voltage": "300",
    "Cs": 2.7,
    "ctffind_do_phaseshift": False,
    "angpix": "0.831",
    "motioncor_binning": 1,
    "motioncor_doseperframe": "1.03",
    "stop_after_ctf_estimation": False,
    "do_class2d": True,
    "do_class3d": True,
    "use_fsc_criterion": False,
    "autopick_do_cryolo": False,
    "autopick_LoG_diam_min": "100",
    "autopick_LoG_diam_max": "200",
    "mask_diameter": 220,
    "extract_boxsize": 290,
    "extract_small_boxsize": 64,
    "wantCalculate": True,
    "want2ndPass": False,
}
ADVICE = "Stop it first, then start again."  # the dialog's Start never stops anything


class RunsAlready(Conflict):
    """A job of this data collection is waiting or running."""


@router.get(
    "/jobs/{id:ident}",
    operation_id="synchwebJobs",
    summary="A data collection's jobs, one row for each program, oldest job first",
    responses=documented(
        {"total": 1, "data": [{"processingJobId": "6611642", "processingStatusDescription": "running"}]}
    ),
    openapi_extra=query(*PAGING),
    dependencies=[Depends(polled)],
)
def jobs(id: int, asked: GotDep) -> Response:
    """Paged by `currentPage` and `pageSize`, or by `page` and `per_page` (15)."""
    try:
        found = runs.list_runs(asked.resources, asked.person, id)
    except NotFound as error:
        # Who sees every visit got an empty list for what is not there; it is "No data collection" for id 0.
        if error.hidden or not asked.person.staff or id == 0:
            raise
        found = []
    first = (asked.page - 1) * asked.per_page
    page = found[first : first + asked.per_page]
    programs = [run.program_id for run in page if run.program_id is not None]
    progress = find_progress(asked.resources, asked.person, programs) if programs else {}
    rows = [run_rows.row(run, progress.get(run.program_id or 0)) for run in page]
    told = answer({"total": len(found), "data": rows})
    told.headers["ETag"] = run_rows.etag(len(found), rows)
    return told


@router.get("/relion/schema/", include_in_schema=False)
@router.get(
    "/relion/schema",
    operation_id="synchwebRelionSchema",
    summary="The fields of the dialog that starts RELION, in the order on the screen",
    responses=documented({"voltage": {"label": "Voltage", "unit": "kV", "default": "300", "required": True}}),
    openapi_extra=PROP,
)
def schema(asked: GotDep) -> Response:
    """Produced from the parameters' one definition."""
    return answer(forms.relion_schema(asked.resources.settings.relion.voltages))


@router.post(
    "/relion/start/{id:ident}",
    operation_id="synchwebStart",
    summary="The dialog's button: launch RELION on a data collection",
    responses=documented(
        {"timestamp": "2026-11-22T10:00:00+00:00", "message": {"parameters": {"ispyb_process": 6611642}}}
    ),
    openapi_extra=body({key: {} for key in forms.relion_schema((200, 300))}, EXAMPLE),
)
def start(id: int, asked: SentDep) -> Response:
    """The fields are those of `relion/schema`. A visit that has ended or a job that blocks is told before any field."""
    order = Order(parameters=lambda movies: _parameters(asked, movies), face="synchweb")
    try:
        launched = launching.launch_collection(asked.resources, asked.person, id, order)
    except JobsBlock as error:
        raise RunsAlready(f"{error.facts} {ADVICE}") from error
    except (ParametersInvalid, GainReferenceInvalid) as error:
        invalid = forms.of_native(error)
        _require_unblocked(asked, id)
        raise invalid from error
    except FormInvalid:
        _require_unblocked(asked, id)
        raise
    return answer({"timestamp": _now(), "message": {"parameters": {"ispyb_process": launched.job_id}}})


def _parameters(asked: Asked, movies: Movies) -> RelionParameters:
    voltages = asked.resources.settings.relion.voltages
    return forms.to_parameters(forms.check_relion_form(asked.posted, suffix=movies.suffix, voltages=voltages))


def _require_unblocked(asked: Asked, dcid: int) -> None:
    """What blocks is said before what is wrong with the fields."""
    check = launching.check_collection(asked.resources, asked.person, dcid)
    if check.blocking:
        raise RunsAlready(f"{check.facts} {ADVICE}")


@router.get(
    "/relion/stop/{jobId:ident}",
    operation_id="synchwebStop",
    summary="Ask that a job stops",
    responses=documented(
        {"timestamp": "2026-11-22T10:00:00+00:00", "message": {"parameters": {"ispyb_process": "6611642"}}}
    ),
    openapi_extra=PROP,
)
def stop(jobId: int, asked: GotDep) -> Response:  # noqa: N803
    """A job that has ended is answered in the same way, and nothing is sent."""
    try:
        stopping.stop(asked.resources, asked.person, jobId)
    except stopping.JobEnded:
        pass
    message: dict[str, Any] = {"recipe": "relion-stop", "parameters": {"ispyb_process": str(jobId)}}
    return answer({"timestamp": _now(), "message": message})


@router.get(
    "/relion/parameters/{jobId:ident}",
    operation_id="synchwebParameters",
    summary="What a job was started with",
    responses=documented({"voltage": "300", "import_images_ext": "tiff", "wantGainReferenceFile": False}),
    openapi_extra=PROP,
)
def parameters(jobId: int, asked: GotDep) -> Response:  # noqa: N803
    """Every stored key, its value as text."""
    stored = watching.get_stored_parameters(asked.resources, asked.person, jobId)
    if not stored:
        return refusal(400, f"Job {jobId} has no parameters.")
    return answer(forms.parameters_for_synchweb(stored))


@router.post(
    "/process/scipion/session/{visit}",
    operation_id="synchwebScipion",
    summary="Gone: Scipion",
    status_code=410,
    responses={410: refused("Scipion is no longer offered"), **not_served()},
    deprecated=True,
)
def scipion(visit: str, asked: SentDep) -> Response:
    """Nothing has listened for this since 2021."""
    return refusal(410, "Scipion is no longer offered here; start RELION instead.")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
