"""What programs found, as SynchWeb's panels want it: texts, with the decimals that they show."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from app.results.attachments import Attachment
from app.results.classification import Class
from app.results.ctf import Ctf, SummaryRow
from app.results.drift import Drift
from app.results.motion import Motion
from app.results.picking import Picking
from app.results.rules import decimal_text, number_text
from app.results.statistics import DriftStatistics, Histogram

ASTIGMATISM = 10  # Å in a nanometre
DEFOCUS = 10_000  # Å in a micrometre

Row = dict[str, Any]


def time_text(moment: datetime | None) -> str | None:
    """A time of ISPyB as its driver gave it to PHP."""
    return moment.replace(tzinfo=None).isoformat(" ", "seconds") if isinstance(moment, datetime) else None


def motion_row(motion: Motion) -> Row:
    """``mc/:programId/n/:n``."""
    return {
        "firstFrame": number_text(motion.first_frame),
        "lastFrame": number_text(motion.last_frame),
        "dosePerFrame": number_text(motion.dose_per_frame),
        "doseWeight": number_text(motion.dose_weight),
        "totalMotion": decimal_text(motion.total_motion, 1),
        "averageMotionPerFrame": decimal_text(motion.average_motion_per_frame, 2),
        "patchesUsedX": number_text(motion.patches_used_x),
        "patchesUsedY": number_text(motion.patches_used_y),
        "comments": motion.comments,
        "imageNumber": str(motion.image_number),
        "createdTimeStamp": time_text(motion.created_time_stamp),
    }


def drift_row(drift: Drift) -> Row:
    """``mc/drift/:programId``."""
    return {"xAxis": [number_text(x) for x in drift.x], "yAxis": [number_text(y) for y in drift.y]}


def ctf_row(ctf: Ctf) -> Row:
    """``ctf/:programId/n/:n``: defocus in µm, astigmatism in nm."""
    return {
        "ctfId": str(ctf.ctf_id),
        "boxSizeX": number_text(ctf.box_size_x),
        "boxSizeY": number_text(ctf.box_size_y),
        "minResolution": number_text(ctf.min_resolution),
        "maxResolution": number_text(ctf.max_resolution),
        "minDefocus": number_text(ctf.min_defocus),
        "maxDefocus": number_text(ctf.max_defocus),
        "defocusStepSize": number_text(ctf.defocus_step_size),
        "astigmatism": decimal_text(_per(ctf.astigmatism, ASTIGMATISM), 4),
        "astigmatismAngle": decimal_text(ctf.astigmatism_angle, 1),
        "estimatedResolution": decimal_text(ctf.estimated_resolution, 2),
        "estimatedDefocus": decimal_text(_per(ctf.estimated_defocus, DEFOCUS), 5),
        "amplitudeContrast": number_text(ctf.amplitude_contrast),
        "ccValue": number_text(ctf.cc_value),
        "comments": ctf.comments,
        "createdTimeStamp": time_text(ctf.created_time_stamp),
        "imageNumber": str(ctf.image_number),
    }


def summary(rows: Iterable[SummaryRow]) -> bytes:
    """``ctf/summary/:programId`` as it is sent: to make dictionaries of fifty thousand rows takes 100 MB."""
    out = bytearray(b"[")
    for number, created, astigmatism, resolution, defocus in rows:
        # Texts of digits, which JSON takes as they are.
        out += (
            f'{{"imageNumber":{_quoted(number_text(number))},'
            f'"createdTimeStamp":{_quoted(time_text(created))},'
            f'"astigmatism":{_quoted(number_text(_per(astigmatism, ASTIGMATISM)))},'
            f'"estimatedResolution":{_quoted(number_text(resolution))},'
            f'"estimatedDefocus":{_quoted(number_text(_per(defocus, DEFOCUS)))}}},'
        ).encode()
    if len(out) > 1:
        out.pop()  # the last comma
    out += b"]"
    return bytes(out)


def _quoted(text: str | None) -> str:
    return "null" if text is None else f'"{text}"'


def _per(value: float | None, divisor: int) -> float | None:
    return None if value is None else value / divisor


def picking_row(picking: Picking, *, image: bool) -> Row:
    """``picker/:programId/n/:n``: in place of the image's path, whether there is one."""
    return {
        "particleDiameter": number_text(picking.particle_diameter),
        "numberOfParticles": number_text(picking.number_of_particles),
        "summaryImageFullPath": int(image),
        "imageNumber": str(picking.image_number),
        "createdTimeStamp": time_text(picking.created_time_stamp),
    }


def class_row(found: Class) -> Row:
    """One of ``classification/:programId/type/:type``."""
    return {
        "type": found.type,
        "batchNumber": number_text(found.batch_number),
        "numberOfParticlesPerBatch": number_text(found.number_of_particles_per_batch),
        "numberOfClassesPerBatch": number_text(found.number_of_classes_per_batch),
        "symmetry": found.symmetry,
        "particleClassificationId": number_text(found.particle_classification_id),
        "classNumber": number_text(found.class_number),
        "classDistribution": number_text(found.class_distribution),
        "particlesPerClass": number_text(found.particles_per_class),
        "rotationAccuracy": number_text(found.rotation_accuracy),
        "translationAccuracy": number_text(found.translation_accuracy),
        "estimatedResolution": number_text(found.estimated_resolution),
        "overallFourierCompleteness": number_text(found.overall_fourier_completeness),
        "resolution": number_text(found.initial_resolution),
        "numberOfParticles": number_text(found.initial_particles),
    }


def attachment_row(attachment: Attachment) -> Row:
    """One of ``attachments/:programId``; a plot's JSON comes along, as text."""
    row: Row = {
        "autoProcProgramAttachmentId": str(attachment.attachment_id),
        "file": attachment.path,
        "recordTimeStamp": time_text(attachment.record_time_stamp),
        "fileType": attachment.file_type,
        "importanceRank": number_text(attachment.importance_rank),
    }
    return row if attachment.content is None else row | {"JSON": attachment.content}


def histogram(found: Histogram) -> Row:
    """``stats/ctf``. PHP wrote counts that begin at 0 and go up by 1 as a list."""
    counts: dict[str, int] = dict(found.bins)
    plain = list(counts) == [str(number) for number in range(len(counts))]
    label = f"{found.beamline}: {found.kind.capitalize()} ({found.unit})"
    return {"histograms": [{"label": label, "data": list(counts.values()) if plain else counts}]}


def drift_statistics(found: DriftStatistics) -> Row:
    """``stats/mc``."""
    series = {"label": found.beamline, "min": found.lowest, "max": found.highest, "avg": found.average}
    return {"data": [series], "ticks": found.frames}
