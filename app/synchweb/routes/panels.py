"""``mc``, ``ctf``, ``picker`` and ``classification``: what a program found, for the panels of a job."""

from __future__ import annotations

from typing import Literal, cast

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response

from app.results import classification, ctf, drift, motion, picking
from app.results.rules import ClassSort
from app.synchweb import results
from app.synchweb.answers import IMAGE, PROP, answer, documented, documented_file, image, or_nothing
from app.synchweb.asking import GotDep

router = APIRouter(tags=["synchweb: results"])
FIRST = 1  # the image that is shown where the address names none


@router.get(
    "/mc/{programId:ident}/n/{imageNumber:ident}",
    operation_id="synchwebMotion",
    summary="Motion correction of one image",
    responses=documented({"totalMotion": "12.3", "averageMotionPerFrame": "0.46", "imageNumber": "1"}),
    openapi_extra=PROP,
)
def mc(programId: int, imageNumber: int, asked: GotDep) -> Response:  # noqa: N803
    """Å."""
    return answer(results.motion_row(motion.get_motion(asked.resources, asked.person, programId, imageNumber)))


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
        lambda: drift.get_drift(asked.resources, asked.person, programId, imageNumber), drift.Drift([], [])
    )
    return answer(results.drift_row(found))


@router.get(
    "/mc/snapshot/{programId:ident}",
    operation_id="synchwebFirstSnapshot",
    summary="Snapshot of the first image",
    responses=documented_file(IMAGE),
    openapi_extra=PROP,
)
@router.get(
    "/mc/snapshot/{programId:ident}/n/{imageNumber:ident}",
    operation_id="synchwebSnapshot",
    summary="Snapshot of one image",
    responses=documented_file(IMAGE),
    openapi_extra=PROP,
)
def mc_snapshot(programId: int, asked: GotDep, imageNumber: int = FIRST) -> Response:  # noqa: N803
    """A file that is missing is a placeholder, so that no other image stays on the screen in its place."""
    return image(asked, motion.find_snapshot(asked.resources, asked.person, programId, imageNumber), "snapshot")


@router.get(
    "/mc/fft/image/{id:ident}",
    operation_id="synchwebFirstFft",
    summary="Fourier transform of the first movie",
    responses=documented_file(IMAGE),
    openapi_extra=PROP,
)
@router.get(
    "/mc/fft/image/{id:ident}/n/{imageNumber:ident}",
    operation_id="synchwebFft",
    summary="Fourier transform of one movie",
    responses=documented_file(IMAGE),
    openapi_extra=PROP,
)
@router.get(
    "/mc/fft/image/{id:ident}/t/{t:ident}",
    operation_id="synchwebFirstCorrectedFft",
    summary="Fourier transform of the first movie, corrected for motion",
    responses=documented_file(IMAGE),
    openapi_extra=PROP,
)
@router.get(
    "/mc/fft/image/{id:ident}/n/{imageNumber:ident}/t/{t:ident}",
    operation_id="synchwebCorrectedFft",
    summary="Fourier transform of one movie, corrected for motion",
    responses=documented_file(IMAGE),
    openapi_extra=PROP,
)
def mc_fft(id: int, asked: GotDep, imageNumber: int | None = None, t: int | None = None) -> Response:  # noqa: N803
    """Of a data collection. `n` and any `t` may stand in the query as well."""
    number = asked.number("n", default=FIRST) if imageNumber is None else imageNumber
    corrected = t is not None or asked.number("t", default=-1) >= 0
    return image(
        asked,
        motion.find_fft_of_movie(asked.resources, asked.person, id, number, corrected=corrected),
        "Fourier transform",
    )


@router.get(
    "/ctf/{programId:ident}/n/{imageNumber:ident}",
    operation_id="synchwebCtf",
    summary="CTF estimation of one image",
    responses=documented({"ctfId": "900001", "estimatedDefocus": "1.18371", "estimatedResolution": "4.12"}),
    openapi_extra=PROP,
)
def ctf_result(programId: int, imageNumber: int, asked: GotDep) -> Response:  # noqa: N803
    """Defocus in µm, astigmatism in nm, resolution in Å."""
    return answer(results.ctf_row(ctf.get_ctf(asked.resources, asked.person, programId, imageNumber)))


@router.get(
    "/ctf/image/{programId:ident}",
    operation_id="synchwebFirstCtfImage",
    summary="Fitted power spectrum of the first image",
    responses=documented_file(IMAGE),
    openapi_extra=PROP,
)
@router.get(
    "/ctf/image/{programId:ident}/n/{imageNumber:ident}",
    operation_id="synchwebCtfImage",
    summary="Fitted power spectrum of one image",
    responses=documented_file(IMAGE),
    openapi_extra=PROP,
)
def ctf_image(programId: int, asked: GotDep, imageNumber: int = FIRST) -> Response:  # noqa: N803
    """A missing file is a placeholder."""
    return image(asked, ctf.find_ctf_image(asked.resources, asked.person, programId, imageNumber), "power spectrum")


@router.get(
    "/ctf/summary/{programId:ident}",
    operation_id="synchwebCtfSummary",
    summary="CTF estimations of all images, by the time of the movie",
    responses=documented([{"imageNumber": "1", "estimatedDefocus": "1.18371", "estimatedResolution": "4.12"}]),
    openapi_extra=PROP,
)
def ctf_summary(programId: int, asked: GotDep) -> Response:  # noqa: N803
    """Defocus in µm, astigmatism in nm, resolution in Å."""
    nothing: list[ctf.SummaryRow] = []
    rows = or_nothing(lambda: ctf.list_ctf_summary(asked.resources, asked.person, programId), nothing)
    return answer([results.summary_row(row) for row in rows])


@router.get(
    "/picker/{programId:ident}/n/{imageNumber:ident}",
    operation_id="synchwebPicking",
    summary="Particles picked in one image",
    responses=documented({"particleDiameter": "18.5", "numberOfParticles": "316", "summaryImageFullPath": 1}),
    openapi_extra=PROP,
)
def picker(programId: int, imageNumber: int, asked: GotDep) -> Response:  # noqa: N803
    """The diameter in nm."""
    found = picking.get_picking(asked.resources, asked.person, programId, imageNumber)
    return answer(results.picking_row(found, image=picking.has_summary_image(asked.resources, found) is True))


@router.get(
    "/picker/image/{programId:ident}",
    operation_id="synchwebFirstPickingImage",
    summary="Picked particles of the first image",
    responses=documented_file(IMAGE),
    openapi_extra=PROP,
)
@router.get(
    "/picker/image/{programId:ident}/n/{imageNumber:ident}",
    operation_id="synchwebPickingImage",
    summary="Picked particles of one image",
    responses=documented_file(IMAGE),
    openapi_extra=PROP,
)
def picker_image(programId: int, asked: GotDep, imageNumber: int = FIRST) -> Response:  # noqa: N803
    """A missing file is a placeholder."""
    return image(
        asked, picking.find_picking_image(asked.resources, asked.person, programId, imageNumber), "picked particles"
    )


@router.get(
    "/classification/{programId:ident}/type/{type}",
    operation_id="synchwebClassification",
    summary="Classes of a program, `2D` or `3D`",
    responses=documented({"total": 1, "classes": [{"type": "2D", "particleClassificationId": "900001"}]}),
    openapi_extra=PROP,
)
def classes(programId: int, type: str, asked: GotDep) -> Response:  # noqa: N803
    """Paged by `page` and `per_page` (15), sorted by `sort_by`: `particles`, else by resolution."""
    if type not in ("2D", "3D"):
        raise HTTPException(404)
    by_particles = asked.query.get("sort_by", "particles").lower() == "particles"
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
    responses=documented_file(IMAGE),
    openapi_extra=PROP,
)
def class_image(classificationId: int, asked: GotDep) -> Response:  # noqa: N803
    """Of a class that is not there, too, a placeholder."""
    path = or_nothing(lambda: classification.find_class_image(asked.resources, asked.person, classificationId), None)
    return image(asked, path, "class")
