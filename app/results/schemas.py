"""Native bodies about results."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import Field

from app.http.schemas import Body
from app.results.attachments import Attachment
from app.results.classification import Class
from app.results.ctf import Ctf
from app.results.drift import Drift
from app.results.motion import Motion
from app.results.picking import Picking
from app.results.series import Series

LINK = "where it is; null if ISPyB names no file"


class ColumnsBody(Body):
    """What every series has. The columns are equally long, and go together."""

    image_number: list[int | None]
    created_time_stamp: list[datetime | None] = Field(description="when the movie was registered")


class MotionColumnsBody(ColumnsBody):
    """Motion correction, a row for each image."""

    total_motion: list[float | None] = Field(description="Å")
    average_motion_per_frame: list[float | None] = Field(description="Å")
    dose_per_frame: list[float | None] = Field(description="e⁻/Å²")
    dose_weight: list[float | None]


class CtfColumnsBody(ColumnsBody):
    """CTF estimation, a row for each image."""

    astigmatism: list[float | None] = Field(description="Å")
    astigmatism_angle: list[float | None] = Field(description="degrees")
    estimated_resolution: list[float | None] = Field(description="Å")
    estimated_defocus: list[float | None] = Field(description="Å")
    cc_value: list[float | None]


class ParticlesColumnsBody(ColumnsBody):
    """Particle picking, a row for each image."""

    number_of_particles: list[int | None]
    particle_diameter: list[float | None] = Field(description="nm")


class SeriesBody(Body):
    """A page of a series, in the order in which the results came."""

    next: int | None = Field(description="give it as `after` for the next page; null after the last")


class MotionSeriesBody(SeriesBody):
    """Motion correction for plotting."""

    columns: MotionColumnsBody

    @classmethod
    def of(cls, series: Series) -> Self:
        """Write a page."""
        return cls(columns=MotionColumnsBody.model_validate(series.columns), next=series.next)


class CtfSeriesBody(SeriesBody):
    """CTF estimation for plotting."""

    columns: CtfColumnsBody

    @classmethod
    def of(cls, series: Series) -> Self:
        """Write a page."""
        return cls(columns=CtfColumnsBody.model_validate(series.columns), next=series.next)


class ParticlesSeriesBody(SeriesBody):
    """Particle picking for plotting."""

    columns: ParticlesColumnsBody

    @classmethod
    def of(cls, series: Series) -> Self:
        """Write a page."""
        return cls(columns=ParticlesColumnsBody.model_validate(series.columns), next=series.next)


class MotionLinksBody(Body):
    """What else there is of a motion correction."""

    drift: str
    snapshot: str | None = Field(description=LINK)
    fft: str | None = Field(description=LINK)
    fft_corrected: str | None = Field(description=LINK)


class MotionBody(Body):
    """The motion correction of one image."""

    image_number: int
    created_time_stamp: datetime | None = Field(description="when the movie was registered")
    first_frame: int | None
    last_frame: int | None
    dose_per_frame: float | None = Field(description="e⁻/Å²")
    dose_weight: float | None
    total_motion: float | None = Field(description="Å")
    average_motion_per_frame: float | None = Field(description="Å")
    patches_used_x: int | None
    patches_used_y: int | None
    comments: str | None
    links: MotionLinksBody

    @classmethod
    def of(cls, motion: Motion, here: str) -> Self:
        """Write one, whose address is ``here``."""
        return cls(
            image_number=motion.image_number,
            created_time_stamp=motion.created_time_stamp,
            first_frame=motion.first_frame,
            last_frame=motion.last_frame,
            dose_per_frame=motion.dose_per_frame,
            dose_weight=motion.dose_weight,
            total_motion=motion.total_motion,
            average_motion_per_frame=motion.average_motion_per_frame,
            patches_used_x=motion.patches_used_x,
            patches_used_y=motion.patches_used_y,
            comments=motion.comments,
            links=MotionLinksBody(
                drift=f"{here}/drift",
                snapshot=f"{here}/snapshot" if motion.snapshot else None,
                fft=f"{here}/fft" if motion.fft else None,
                fft_corrected=f"{here}/fft-corrected" if motion.fft_corrected else None,
            ),
        )


class DriftBody(Body):
    """Where the specimen was at each frame; empty if that is not known."""

    x: list[float | None] = Field(description="Å, frame by frame")
    y: list[float | None] = Field(description="Å, frame by frame")

    @classmethod
    def of(cls, drift: Drift) -> Self:
        """Write one."""
        return cls(x=drift.x, y=drift.y)


class ImageLinksBody(Body):
    """What else there is."""

    image: str | None = Field(description=LINK)


class CtfBody(Body):
    """The CTF estimation of one image."""

    ctf_id: int
    image_number: int
    created_time_stamp: datetime | None = Field(description="when the movie was registered")
    box_size_x: float | None = Field(description="pixels")
    box_size_y: float | None = Field(description="pixels")
    min_resolution: float | None = Field(description="Å")
    max_resolution: float | None = Field(description="Å")
    min_defocus: float | None = Field(description="Å")
    max_defocus: float | None = Field(description="Å")
    defocus_step_size: float | None = Field(description="Å")
    astigmatism: float | None = Field(description="Å")
    astigmatism_angle: float | None = Field(description="degrees")
    estimated_resolution: float | None = Field(description="Å")
    estimated_defocus: float | None = Field(description="Å")
    amplitude_contrast: float | None
    cc_value: float | None
    comments: str | None
    links: ImageLinksBody

    @classmethod
    def of(cls, ctf: Ctf, here: str) -> Self:
        """Write one, whose address is ``here``."""
        return cls(
            ctf_id=ctf.ctf_id,
            image_number=ctf.image_number,
            created_time_stamp=ctf.created_time_stamp,
            box_size_x=ctf.box_size_x,
            box_size_y=ctf.box_size_y,
            min_resolution=ctf.min_resolution,
            max_resolution=ctf.max_resolution,
            min_defocus=ctf.min_defocus,
            max_defocus=ctf.max_defocus,
            defocus_step_size=ctf.defocus_step_size,
            astigmatism=ctf.astigmatism,
            astigmatism_angle=ctf.astigmatism_angle,
            estimated_resolution=ctf.estimated_resolution,
            estimated_defocus=ctf.estimated_defocus,
            amplitude_contrast=ctf.amplitude_contrast,
            cc_value=ctf.cc_value,
            comments=ctf.comments,
            links=ImageLinksBody(image=f"{here}/image" if ctf.image else None),
        )


class ParticlesBody(Body):
    """The particles of one image."""

    image_number: int
    created_time_stamp: datetime | None = Field(description="when the movie was registered")
    particle_diameter: float | None = Field(description="nm")
    number_of_particles: int | None
    links: ImageLinksBody

    @classmethod
    def of(cls, picking: Picking, here: str) -> Self:
        """Write one, whose address is ``here``."""
        return cls(
            image_number=picking.image_number,
            created_time_stamp=picking.created_time_stamp,
            particle_diameter=picking.particle_diameter,
            number_of_particles=picking.number_of_particles,
            links=ImageLinksBody(image=f"{here}/image" if picking.summary_image else None),
        )


class ClassBody(Body):
    """A class of particles, and the batch that it was found in."""

    particle_classification_id: int
    class_number: int | None
    type: str | None
    batch_number: int | None
    number_of_particles_per_batch: int | None
    number_of_classes_per_batch: int | None
    symmetry: str | None
    particles_per_class: int | None
    class_distribution: float | None
    rotation_accuracy: float | None = Field(description="degrees")
    translation_accuracy: float | None = Field(description="Å")
    estimated_resolution: float | None = Field(description="Å; 0 where it could not be estimated")
    overall_fourier_completeness: float | None
    initial_model_resolution: float | None = Field(description="Å; of the model that the class was refined from")
    initial_model_particles: int | None = Field(description="how many particles that model was made of")
    links: ImageLinksBody

    @classmethod
    def of(cls, one: Class, here: str) -> Self:
        """Write one, where ``here`` is the address of the list."""
        assert one.particle_classification_id is not None
        ident = one.particle_classification_id
        return cls(
            particle_classification_id=ident,
            class_number=one.class_number,
            type=one.type,
            batch_number=one.batch_number,
            number_of_particles_per_batch=one.number_of_particles_per_batch,
            number_of_classes_per_batch=one.number_of_classes_per_batch,
            symmetry=one.symmetry,
            particles_per_class=one.particles_per_class,
            class_distribution=one.class_distribution,
            rotation_accuracy=one.rotation_accuracy,
            translation_accuracy=one.translation_accuracy,
            estimated_resolution=one.estimated_resolution,
            overall_fourier_completeness=one.overall_fourier_completeness,
            initial_model_resolution=one.initial_resolution,
            initial_model_particles=one.initial_particles,
            links=ImageLinksBody(image=f"{here}/{ident}/image" if one.image else None),
        )


class AttachmentLinksBody(Body):
    """Where the file can be had."""

    file: str | None = Field(description=LINK)


class AttachmentBody(Body):
    """A file that a program has left."""

    auto_proc_program_attachment_id: int
    file_name: str | None
    file_path: str | None = Field(description="where it lies on the facility's disks, with its name")
    file_type: str | None
    importance_rank: int | None
    record_time_stamp: datetime | None
    exists: bool | None = Field(description="whether it is there; null if the file system did not answer")
    links: AttachmentLinksBody

    @classmethod
    def of(cls, one: Attachment, here: str) -> Self:
        """Write one, where ``here`` is the address of the list."""
        return cls(
            auto_proc_program_attachment_id=one.attachment_id,
            file_name=one.file_name,
            file_path=one.path,
            file_type=one.file_type,
            importance_rank=one.importance_rank,
            record_time_stamp=one.record_time_stamp,
            exists=one.exists,
            links=AttachmentLinksBody(file=f"{here}/{one.attachment_id}/file" if one.path else None),
        )
