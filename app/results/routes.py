"""Native HTTP about what programs have found. Images and files are reached under the program that they belong to."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from app.http import files
from app.http.dependencies import PersonDep, ResourcesDep
from app.http.packing import packed
from app.http.problems import responses
from app.http.schemas import MAX_ID, PREFIX, Limit, Page, PageNumber
from app.results import attachments, classification, ctf, drift, motion, picking, series
from app.results.rules import ClassSort
from app.results.schemas import (
    AttachmentBody,
    ClassBody,
    CtfBody,
    CtfSeriesBody,
    DriftBody,
    MotionBody,
    MotionSeriesBody,
    ParticlesBody,
    ParticlesSeriesBody,
)

router = APIRouter(tags=["results"])

ProgramId = Annotated[int, Path(ge=1, le=MAX_ID, description="ISPyB's autoProcProgramId", examples=[56986680])]
ImageNumber = Annotated[int, Path(ge=0, le=MAX_ID, description="the movie's place in the run, from 1", examples=[1])]
ClassificationId = Annotated[
    int, Path(ge=1, le=MAX_ID, description="ISPyB's particleClassificationId", examples=[3116325])
]
AttachmentId = Annotated[
    int, Path(ge=1, le=MAX_ID, description="ISPyB's autoProcProgramAttachmentId", examples=[1037183])
]
SeriesLimit = Annotated[int, Query(ge=1, le=10_000, description="rows on one page")]
After = Annotated[int, Query(ge=0, le=2**32 - 1, description="where the page before ended: its `next`")]


def _file(description: str, *media_types: str) -> dict[str, Any]:
    """How an operation that answers with a file is documented."""
    content = {media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in media_types}
    return {
        "response_class": Response,
        "responses": {
            **responses(403, 404, 416),
            200: {"description": description, "content": content},
            206: {"description": "The part of it that a Range header asked for", "content": content},
            304: {"description": "It has not changed since the client got it"},
        },
    }


IMAGE = _file("The image, to be kept for a fortnight", "image/png", "image/jpeg")
FILE = _file("The file, as a download; its type is taken from its extension", "application/octet-stream")


def _here(program_id: int, *parts: object) -> str:
    return "/".join([PREFIX, "programs", str(program_id), *map(str, parts)])


@router.get(
    "/programs/{programId}/motion",
    operation_id="listMotion",
    summary="Motion correction of a program's images, as columns",
    response_model=MotionSeriesBody,
    responses=responses(403, 404),
)
def list_motion(
    programId: ProgramId,  # noqa: N803
    request: Request,
    resources: ResourcesDep,
    person: PersonDep,
    limit: SeriesLimit = 1000,
    after: After = 0,
) -> Response:
    """For plotting: in the order in which the results came, so that later ones are on later pages."""
    body = MotionSeriesBody.of(series.list_motion(resources, person, programId, after=after, limit=limit))
    return packed(request, body.model_dump_json(by_alias=True).encode())


@router.get(
    "/programs/{programId}/motion/{imageNumber}",
    operation_id="getMotion",
    summary="Motion correction of one image",
    responses=responses(403, 404),
)
def get_motion(
    programId: ProgramId,  # noqa: N803
    imageNumber: ImageNumber,  # noqa: N803
    resources: ResourcesDep,
    person: PersonDep,
) -> MotionBody:
    """How far the specimen moved, and what was done about it."""
    found = motion.get_motion(resources, person, programId, imageNumber)
    return MotionBody.of(found, _here(programId, "motion", imageNumber))


@router.get(
    "/programs/{programId}/motion/{imageNumber}/drift",
    operation_id="getDrift",
    summary="Where the specimen was at each frame",
    responses=responses(403, 404),
)
def get_drift(
    programId: ProgramId,  # noqa: N803
    imageNumber: ImageNumber,  # noqa: N803
    resources: ResourcesDep,
    person: PersonDep,
) -> DriftBody:
    """Empty where that is not known."""
    return DriftBody.of(drift.get_drift(resources, person, programId, imageNumber))


@router.get(
    "/programs/{programId}/motion/{imageNumber}/snapshot",
    operation_id="getMotionSnapshot",
    summary="The motion corrected image",
    **IMAGE,
)
def get_snapshot(
    programId: ProgramId,  # noqa: N803
    imageNumber: ImageNumber,  # noqa: N803
    request: Request,
    resources: ResourcesDep,
    person: PersonDep,
) -> Response:
    """Reduced in size, as RELION leaves it."""
    path = motion.find_snapshot(resources, person, programId, imageNumber)
    return files.image(request, resources, path, f"snapshot of image {imageNumber} of program {programId}")


@router.get(
    "/programs/{programId}/motion/{imageNumber}/fft",
    operation_id="getFft",
    summary="The Fourier transform of the image before motion correction",
    **IMAGE,
)
def get_fft(
    programId: ProgramId,  # noqa: N803
    imageNumber: ImageNumber,  # noqa: N803
    request: Request,
    resources: ResourcesDep,
    person: PersonDep,
) -> Response:
    """As an image."""
    path = motion.find_fft(resources, person, programId, imageNumber, corrected=False)
    return files.image(request, resources, path, f"FFT of image {imageNumber} of program {programId}")


@router.get(
    "/programs/{programId}/motion/{imageNumber}/fft-corrected",
    operation_id="getFftCorrected",
    summary="The Fourier transform of the image after motion correction",
    **IMAGE,
)
def get_fft_corrected(
    programId: ProgramId,  # noqa: N803
    imageNumber: ImageNumber,  # noqa: N803
    request: Request,
    resources: ResourcesDep,
    person: PersonDep,
) -> Response:
    """As an image."""
    path = motion.find_fft(resources, person, programId, imageNumber, corrected=True)
    return files.image(request, resources, path, f"corrected FFT of image {imageNumber} of program {programId}")


@router.get(
    "/programs/{programId}/ctf",
    operation_id="listCtf",
    summary="CTF estimation of a program's images, as columns",
    response_model=CtfSeriesBody,
    responses=responses(403, 404),
)
def list_ctf(
    programId: ProgramId,  # noqa: N803
    request: Request,
    resources: ResourcesDep,
    person: PersonDep,
    limit: SeriesLimit = 1000,
    after: After = 0,
) -> Response:
    """For plotting: in the order in which the results came, so that later ones are on later pages."""
    body = CtfSeriesBody.of(series.list_ctf(resources, person, programId, after=after, limit=limit))
    return packed(request, body.model_dump_json(by_alias=True).encode())


@router.get(
    "/programs/{programId}/ctf/{imageNumber}",
    operation_id="getCtf",
    summary="CTF estimation of one image",
    responses=responses(403, 404),
)
def get_ctf(
    programId: ProgramId,  # noqa: N803
    imageNumber: ImageNumber,  # noqa: N803
    resources: ResourcesDep,
    person: PersonDep,
) -> CtfBody:
    """Focus, astigmatism, and how far the signal reaches."""
    found = ctf.get_ctf(resources, person, programId, imageNumber)
    return CtfBody.of(found, _here(programId, "ctf", imageNumber))


@router.get(
    "/programs/{programId}/ctf/{imageNumber}/image",
    operation_id="getCtfImage",
    summary="The power spectrum with the fit",
    **IMAGE,
)
def get_ctf_image(
    programId: ProgramId,  # noqa: N803
    imageNumber: ImageNumber,  # noqa: N803
    request: Request,
    resources: ResourcesDep,
    person: PersonDep,
) -> Response:
    """As an image."""
    path = ctf.find_ctf_image(resources, person, programId, imageNumber)
    return files.image(request, resources, path, f"CTF of image {imageNumber} of program {programId}")


@router.get(
    "/programs/{programId}/particles",
    operation_id="listParticles",
    summary="How many particles a program's images have, as columns",
    response_model=ParticlesSeriesBody,
    responses=responses(403, 404),
)
def list_particles(
    programId: ProgramId,  # noqa: N803
    request: Request,
    resources: ResourcesDep,
    person: PersonDep,
    limit: SeriesLimit = 1000,
    after: After = 0,
) -> Response:
    """For plotting: in the order in which the results came, so that later ones are on later pages."""
    body = ParticlesSeriesBody.of(series.list_particles(resources, person, programId, after=after, limit=limit))
    return packed(request, body.model_dump_json(by_alias=True).encode())


@router.get(
    "/programs/{programId}/particles/{imageNumber}",
    operation_id="getParticles",
    summary="The particles of one image",
    responses=responses(403, 404),
)
def get_particles(
    programId: ProgramId,  # noqa: N803
    imageNumber: ImageNumber,  # noqa: N803
    resources: ResourcesDep,
    person: PersonDep,
) -> ParticlesBody:
    """How many were picked, and how large they are taken to be."""
    found = picking.get_picking(resources, person, programId, imageNumber)
    return ParticlesBody.of(found, _here(programId, "particles", imageNumber))


@router.get(
    "/programs/{programId}/particles/{imageNumber}/image",
    operation_id="getParticlesImage",
    summary="The image with the particles marked",
    **IMAGE,
)
def get_particles_image(
    programId: ProgramId,  # noqa: N803
    imageNumber: ImageNumber,  # noqa: N803
    request: Request,
    resources: ResourcesDep,
    person: PersonDep,
) -> Response:
    """As RELION leaves it."""
    path = picking.find_picking_image(resources, person, programId, imageNumber)
    return files.image(request, resources, path, f"particles of image {imageNumber} of program {programId}")


@router.get(
    "/programs/{programId}/classification",
    operation_id="listClasses",
    summary="A program's classes of particles",
    responses=responses(403, 404),
)
def list_classes(
    programId: ProgramId,  # noqa: N803
    resources: ResourcesDep,
    person: PersonDep,
    kind: Annotated[Literal["2D", "3D"], Query(alias="type")] = "2D",
    sort: Annotated[ClassSort, Query(description="largest first, or best first")] = ClassSort.PARTICLES,
    limit: Limit = 50,
    page: PageNumber = 1,
) -> Page[ClassBody]:
    """Of all batches that were classified."""
    found = classification.list_classes(resources, person, programId, kind, sort, page=page, per_page=limit)
    here = _here(programId, "classification")
    return Page(total=found.total, items=[ClassBody.of(one, here) for one in found.rows])


@router.get(
    "/programs/{programId}/classification/{classificationId}/image",
    operation_id="getClassImage",
    summary="What the particles of a class look like",
    **IMAGE,
)
def get_class_image(
    programId: ProgramId,  # noqa: N803
    classificationId: ClassificationId,  # noqa: N803
    request: Request,
    resources: ResourcesDep,
    person: PersonDep,
) -> Response:
    """On average, or as slices of the volume."""
    path = classification.find_class_image(resources, person, classificationId, program_id=programId)
    return files.image(request, resources, path, f"image of class {classificationId} of program {programId}")


@router.get(
    "/programs/{programId}/attachments",
    operation_id="listAttachments",
    summary="The files that a program has left for people",
    responses=responses(403, 404),
)
def list_attachments(
    programId: ProgramId,  # noqa: N803
    resources: ResourcesDep,
    person: PersonDep,
    limit: Limit = 50,
    page: PageNumber = 1,
) -> Page[AttachmentBody]:
    """Each with whether it is there."""
    found = attachments.list_attachments(resources, person, programId)
    shown = attachments.look_at(resources, programId, found[(page - 1) * limit : page * limit], json=False)
    here = _here(programId, "attachments")
    return Page(total=len(found), items=[AttachmentBody.of(one, here) for one in shown])


@router.get(
    "/programs/{programId}/attachments/{attachmentId}/file",
    operation_id="getAttachmentFile",
    summary="A file that a program has left",
    **FILE,
)
def get_attachment_file(
    programId: ProgramId,  # noqa: N803
    attachmentId: AttachmentId,  # noqa: N803
    request: Request,
    resources: ResourcesDep,
    person: PersonDep,
) -> Response:
    """As a download, under its own name; its type is taken from its extension."""
    path = attachments.find_attachment_file(resources, person, attachmentId, program_id=programId)
    return files.attachment(request, resources, path, f"attachment {attachmentId} of program {programId}")
