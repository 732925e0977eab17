"""How results become rows of ISPyB. Whoever calls these has the transaction."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.db import local_now
from app.ispyb.tables import (
    CTF,
    AutoProcProgramAttachment,
    CryoemInitialModel,
    MotionCorrection,
    Movie,
    ParticleClassification,
    ParticleClassificationGroup,
    ParticleClassificationHasCryoemInitialModel,
    ParticlePicker,
    inserted_id,
)
from app.simulator.attachments import Attachment
from app.simulator.classes import SYMMETRY, Classification, ParticleClass
from app.simulator.results import Ctf, Particles, Result


def processed(session: Session, program_id: int) -> dict[str, int]:
    """The movies whose results a program has written, by full path, and how many particles were picked in each."""
    return {row.movieFullPath: row.numberOfParticles or 0 for row in session.execute(_movies(program_id))}


def insert(session: Session, dcid: int, program_id: int, result: Result) -> None:
    """All rows of one movie, and of the batch that it filled; nothing if they are there.

    After a commit whose answer was lost they are.
    """
    if session.execute(_movies(program_id).where(Movie.c.movieFullPath == str(result.movie))).first() is not None:
        return
    correction = _motion(session, dcid, program_id, result)
    _ctf(session, program_id, correction, result.ctf)
    if result.particles is not None:
        picker = _picker(session, program_id, correction, result.particles)
        for classification in result.classifications:
            _classification(session, program_id, picker, classification)
    for attachment in result.attachments:
        _attachment(session, program_id, attachment)


def _movies(program_id: int) -> sa.Select[str, int]:
    correction = MotionCorrection.c
    return (
        sa.select(Movie.c.movieFullPath, ParticlePicker.c.numberOfParticles)
        .join(MotionCorrection, correction.movieId == Movie.c.movieId)
        .outerjoin(ParticlePicker, ParticlePicker.c.firstMotionCorrectionId == correction.motionCorrectionId)
        .where(correction.autoProcProgramId == program_id)
    )


def _motion(session: Session, dcid: int, program_id: int, result: Result) -> int:
    motion = result.motion
    movie = inserted_id(
        session.execute(
            sa.insert(Movie).values(
                dataCollectionId=dcid,
                movieNumber=result.number,
                movieFullPath=str(result.movie),
                createdTimeStamp=local_now(),
            )
        )
    )
    return inserted_id(
        session.execute(
            sa.insert(MotionCorrection).values(
                dataCollectionId=dcid,
                autoProcProgramId=program_id,
                movieId=movie,
                imageNumber=result.number,
                firstFrame=1,
                lastFrame=motion.frames,
                dosePerFrame=motion.dose_per_frame,
                doseWeight=1,
                totalMotion=motion.total,
                averageMotionPerFrame=motion.average,
                driftPlotFullPath=str(motion.drift_plot),
                micrographFullPath=str(motion.micrograph),
                micrographSnapshotFullPath=str(motion.snapshot),
                patchesUsedX=5,
                patchesUsedY=5,
                fftFullPath=str(motion.fft),
                fftCorrectedFullPath=str(motion.corrected_fft),
            )
        )
    )


def _ctf(session: Session, program_id: int, correction: int, ctf: Ctf) -> None:
    session.execute(
        sa.insert(CTF).values(
            motionCorrectionId=correction,
            autoProcProgramId=program_id,
            boxSizeX=512,
            boxSizeY=512,
            minResolution=30,
            maxResolution=5,
            minDefocus=5_000,
            maxDefocus=50_000,
            defocusStepSize=100,
            astigmatism=ctf.astigmatism,
            astigmatismAngle=ctf.astigmatism_angle,
            estimatedResolution=ctf.resolution,
            estimatedDefocus=ctf.defocus,
            amplitudeContrast=0.1,
            ccValue=ctf.correlation,
            fftTheoreticalFullPath=str(ctf.snapshot),
        )
    )


def _picker(session: Session, program_id: int, correction: int, particles: Particles) -> int:
    return inserted_id(
        session.execute(
            sa.insert(ParticlePicker).values(
                programId=program_id,
                firstMotionCorrectionId=correction,
                particleDiameter=particles.diameter,
                numberOfParticles=particles.count,
                summaryImageFullPath=str(particles.snapshot),
            )
        )
    )


def _classification(session: Session, program_id: int, picker: int, found: Classification) -> None:
    """A batch that was classified before is written anew, in the same rows."""
    group = ParticleClassificationGroup.c
    values = {"particlePickerId": picker, "numberOfParticlesPerBatch": found.particles}
    known = session.execute(
        sa.select(group.particleClassificationGroupId).where(
            group.programId == program_id, group.type == found.type, group.batchNumber == found.batch
        )
    ).scalar_one_or_none()
    if known is not None:
        session.execute(
            sa.update(ParticleClassificationGroup).where(group.particleClassificationGroupId == known).values(values)
        )
        for each in found.classes:
            _update_class(session, known, each)
        return
    made = inserted_id(
        session.execute(
            sa.insert(ParticleClassificationGroup).values(
                programId=program_id,
                type=found.type,
                batchNumber=found.batch,
                numberOfClassesPerBatch=len(found.classes),
                symmetry=SYMMETRY,
                **values,
            )
        )
    )
    classes = [_insert_class(session, made, each) for each in found.classes]
    if found.model is not None:
        model = inserted_id(
            session.execute(
                sa.insert(CryoemInitialModel).values(
                    resolution=found.model.resolution, numberOfParticles=found.model.particles
                )
            )
        )
        session.execute(
            sa.insert(ParticleClassificationHasCryoemInitialModel),
            [{"particleClassificationId": each, "cryoemInitialModelId": model} for each in classes],
        )


def _insert_class(session: Session, group_id: int, found: ParticleClass) -> int:
    return inserted_id(
        session.execute(
            sa.insert(ParticleClassification).values(
                particleClassificationGroupId=group_id,
                classNumber=found.number,
                classImageFullPath=str(found.image),
                **_measures(found),
            )
        )
    )


def _update_class(session: Session, group_id: int, found: ParticleClass) -> None:
    each = ParticleClassification.c
    session.execute(
        sa.update(ParticleClassification)
        .where(each.particleClassificationGroupId == group_id, each.classNumber == found.number)
        .values(**_measures(found))
    )


def _measures(found: ParticleClass) -> dict[str, float]:
    return {
        "particlesPerClass": found.particles,
        "classDistribution": found.distribution,
        "rotationAccuracy": found.rotation_accuracy,
        "translationAccuracy": found.translation_accuracy,
        "estimatedResolution": found.resolution,
        "overallFourierCompleteness": found.completeness,
        "selected": int(found.selected),
    }


def _attachment(session: Session, program_id: int, attachment: Attachment) -> None:
    session.execute(
        sa.insert(AutoProcProgramAttachment).values(
            autoProcProgramId=program_id,
            fileType=attachment.type,
            fileName=attachment.path.name,
            filePath=str(attachment.path.parent),
            recordTimeStamp=local_now(),
            importanceRank=attachment.rank,
        )
    )
