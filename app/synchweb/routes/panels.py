"""``mc``, ``ctf``, ``picker`` and ``classification``: what a program found, for the panels of a job."""

from __future__ import annotations

from typing import Literal, cast

from fastapi import APIRouter, Depends, HTTPException
from fastapi.responses import Response

from app.http.packing import few_at_once, packed
from app.http.polls import polled
from app.results import classification, ctf, drift, motion, picking
from app.results.rules import ClassSort
from app.synchweb import results
from app.synchweb.answers import (
    IMAGE,
    OPENED,
    PAGING,
    PROP,
    TOKEN,
    answer,
    argument,
    documented,
    documented_file,
    image,
    or_nothing,
    query,
)
from app.synchweb.asking import Asked, GotDep

router = APIRouter(tags=["synchweb: results"])
FIRST = 1  # the image that is shown where the address names none, or 0, which PHP took for none
CORRECTED = argument("t", "integer", "any number: corrected for motion")
NUMBER = argument("n", "integer", "the number of the movie", default=FIRST)
SORTED = argument("sort_by", "string", "`particles`; anything else is by resolution", default="particles")


@router.get(
    "/mc/{programId:ident}/n/{imageNumber:ident}",
    operation_id="synchwebMotion",
    summary="Motion correction of one image",
    responses=documented({"totalMotion": "12.3", "averageMotionPerFrame": "0.46", "imageNumber": "1"}),
    openapi_extra=PROP,
)
def mc(programId: int, imageNumber: int, asked: GotDep) -> Response:  # noqa: N803
    """Å."""
    return answer(results.motion_row(motion.get_motion(asked.resources, asked.person, programId, imageNumber or FIRST)))


@router.get(
    "/mc/drift/{programId:ident}",
    operation_id="synchwebFirstDrift",
    summary="Drift in the first image",
    responses=documented({"xAxis": ["0", "0.1"], "yAxis": ["0", "-0.25"]}),
    openapi_extra=PROP,
)
@router.get(
    "/mc/drift/{programId:ident}/n/{imageNumber:ident}",
    operation_id="synchwebDrift",
    summary="Drift from frame to frame in one image",
    responses=documented({"xAxis": ["0", "0.1"], "yAxis": ["0", "-0.25"]}),
    openapi_extra=PROP,
)
def mc_drift(programId: int, asked: GotDep, imageNumber: int = FIRST) -> Response:  # noqa: N803
    """Å. Nothing is known of what is not there, which is no error."""
    found = or_nothing(
        lambda: drift.get_drift(asked.resources, asked.person, programId, imageNumber or FIRST), drift.Drift([], [])
    )
    return answer(results.drift_row(found))


@router.get(
    "/mc/snapshot/{programId:ident}",
    operation_id="synchwebFirstSnapshot",
    summary="Snapshot of the first image",
    response_class=Response,
    responses=documented_file(IMAGE),
    openapi_extra=OPENED,
)
@router.get(
    "/mc/snapshot/{programId:ident}/n/{imageNumber:ident}",
    operation_id="synchwebSnapshot",
    summary="Snapshot of one image",
    response_class=Response,
    responses=documented_file(IMAGE),
    openapi_extra=OPENED,
)
def mc_snapshot(programId: int, asked: GotDep, imageNumber: int = FIRST) -> Response:  # noqa: N803
    """A file that is missing is a placeholder, so that no other image stays on the screen in its place."""
    return image(
        asked,
        motion.find_snapshot(asked.resources, asked.person, programId, imageNumber or FIRST),
        f"snapshot of image {imageNumber} of program {programId}",
    )


@router.get(
    "/mc/fft/image/{id:ident}",
    operation_id="synchwebFirstFft",
    summary="Fourier transform of the first movie",
    response_class=Response,
    responses=documented_file(IMAGE),
    openapi_extra=query(NUMBER, CORRECTED, TOKEN),
)
def mc_fft(id: int, asked: GotDep) -> Response:
    """Of a data collection. `n` and any `t` may stand in the query as well."""
    return _fft(asked, id, asked.number("n", default=FIRST), corrected=asked.number("t", default=-1) >= 0)


@router.get(
    "/mc/fft/image/{id:ident}/n/{imageNumber:ident}",
    operation_id="synchwebFft",
    summary="Fourier transform of one movie",
    response_class=Response,
    responses=documented_file(IMAGE),
    openapi_extra=query(CORRECTED, TOKEN),
)
def mc_fft_of_movie(id: int, imageNumber: int, asked: GotDep) -> Response:  # noqa: N803
    """Of a data collection. Any `t` may stand in the query as well."""
    return _fft(asked, id, imageNumber, corrected=asked.number("t", default=-1) >= 0)


@router.get(
    "/mc/fft/image/{id:ident}/t/{t:ident}",
    operation_id="synchwebFirstCorrectedFft",
    summary="Fourier transform of the first movie, corrected for motion",
    response_class=Response,
    responses=documented_file(IMAGE),
    openapi_extra=query(NUMBER, TOKEN),
)
def mc_corrected_fft(id: int, t: int, asked: GotDep) -> Response:
    """Of a data collection, whatever number `t` is. `n` may stand in the query as well."""
    return _fft(asked, id, asked.number("n", default=FIRST), corrected=True)


@router.get(
    "/mc/fft/image/{id:ident}/n/{imageNumber:ident}/t/{t:ident}",
    operation_id="synchwebCorrectedFft",
    summary="Fourier transform of one movie, corrected for motion",
    response_class=Response,
    responses=documented_file(IMAGE),
    openapi_extra=OPENED,
)
def mc_corrected_fft_of_movie(id: int, imageNumber: int, t: int, asked: GotDep) -> Response:  # noqa: N803
    """Of a data collection, whatever number `t` is."""
    return _fft(asked, id, imageNumber, corrected=True)


def _fft(asked: Asked, dcid: int, number: int, *, corrected: bool) -> Response:
    number = number or FIRST
    path = motion.find_fft_of_movie(asked.resources, asked.person, dcid, number, corrected=corrected)
    return image(asked, path, f"Fourier transform of movie {number} of data collection {dcid}")


@router.get(
    "/ctf/{programId:ident}/n/{imageNumber:ident}",
    operation_id="synchwebCtf",
    summary="CTF estimation of one image",
    responses=documented({"ctfId": "900001", "estimatedDefocus": "1.18371", "estimatedResolution": "4.12"}),
    openapi_extra=PROP,
)
def ctf_result(programId: int, imageNumber: int, asked: GotDep) -> Response:  # noqa: N803
    """Defocus in µm, astigmatism in nm, resolution in Å."""
    return answer(results.ctf_row(ctf.get_ctf(asked.resources, asked.person, programId, imageNumber or FIRST)))


@router.get(
    "/ctf/image/{programId:ident}",
    operation_id="synchwebFirstCtfImage",
    summary="Fitted power spectrum of the first image",
    response_class=Response,
    responses=documented_file(IMAGE),
    openapi_extra=OPENED,
)
@router.get(
    "/ctf/image/{programId:ident}/n/{imageNumber:ident}",
    operation_id="synchwebCtfImage",
    summary="Fitted power spectrum of one image",
    response_class=Response,
    responses=documented_file(IMAGE),
    openapi_extra=OPENED,
)
def ctf_image(programId: int, asked: GotDep, imageNumber: int = FIRST) -> Response:  # noqa: N803
    """A missing file is a placeholder."""
    return image(
        asked,
        ctf.find_ctf_image(asked.resources, asked.person, programId, imageNumber or FIRST),
        f"power spectrum of image {imageNumber} of program {programId}",
    )


@router.get(
    "/ctf/summary/{programId:ident}",
    operation_id="synchwebCtfSummary",
    summary="CTF estimations of all images, by the time of the movie",
    responses=documented([{"imageNumber": "1", "estimatedDefocus": "1.18371", "estimatedResolution": "4.12"}]),
    openapi_extra=PROP,
    dependencies=[Depends(polled)],
)
def ctf_summary(programId: int, asked: GotDep) -> Response:  # noqa: N803
    """Defocus in µm, astigmatism in nm, resolution in Å."""
    nothing: list[ctf.SummaryRow] = []
    with few_at_once():
        rows = or_nothing(lambda: ctf.list_ctf_summary(asked.resources, asked.person, programId), nothing)
        return packed(asked.request, results.summary(rows))


@router.get(
    "/picker/{programId:ident}/n/{imageNumber:ident}",
    operation_id="synchwebPicking",
    summary="Particles picked in one image",
    responses=documented({"particleDiameter": "18.5", "numberOfParticles": "316", "summaryImageFullPath": 1}),
    openapi_extra=PROP,
)
def picker(programId: int, imageNumber: int, asked: GotDep) -> Response:  # noqa: N803
    """The diameter in nm."""
    found = picking.get_picking(asked.resources, asked.person, programId, imageNumber or FIRST)
    return answer(results.picking_row(found, image=picking.has_summary_image(asked.resources, found) is True))


@router.get(
    "/picker/image/{programId:ident}",
    operation_id="synchwebFirstPickingImage",
    summary="Picked particles of the first image",
    response_class=Response,
    responses=documented_file(IMAGE),
    openapi_extra=OPENED,
)
@router.get(
    "/picker/image/{programId:ident}/n/{imageNumber:ident}",
    operation_id="synchwebPickingImage",
    summary="Picked particles of one image",
    response_class=Response,
    responses=documented_file(IMAGE),
    openapi_extra=OPENED,
)
def picker_image(programId: int, asked: GotDep, imageNumber: int = FIRST) -> Response:  # noqa: N803
    """A missing file is a placeholder."""
    return image(
        asked,
        picking.find_picking_image(asked.resources, asked.person, programId, imageNumber or FIRST),
        "picked particles",
    )


@router.get(
    "/classification/{programId:ident}/type/{type}",
    operation_id="synchwebClassification",
    summary="Classes of a program, `2D` or `3D`",
    responses=documented({"total": 1, "classes": [{"type": "2D", "particleClassificationId": "900001"}]}),
    openapi_extra=query(*PAGING, SORTED),
)
def classes(programId: int, type: str, asked: GotDep) -> Response:  # noqa: N803
    """Paged by `page` and `per_page` (15), sorted by `sort_by`: `particles`, else by resolution."""
    if type not in ("2D", "3D"):
        raise HTTPException(404)
    by_particles = asked.word("sort_by", default="particles").lower() == "particles"
    found = or_nothing(
        lambda: classification.list_classes(
            asked.resources,
            asked.person,
            programId,
            cast(Literal["2D", "3D"], type),
            ClassSort.PARTICLES if by_particles else ClassSort.RESOLUTION,
            page=asked.page,
            per_page=asked.per_page,
            empty_groups=True,
        ),
        classification.Classes(0, []),
    )
    return answer({"total": found.total, "classes": [results.class_row(row) for row in found.rows]})


@router.get(
    "/classification/image/{classificationId:ident}",
    operation_id="synchwebClassImage",
    summary="Image of one class",
    response_class=Response,
    responses=documented_file(IMAGE),
    openapi_extra=OPENED,
)
def class_image(classificationId: int, asked: GotDep) -> Response:  # noqa: N803
    """Of a class that is not there, too, a placeholder."""
    path = or_nothing(lambda: classification.find_class_image(asked.resources, asked.person, classificationId), None)
    return image(asked, path, f"image of class {classificationId}")
