"""What the programs of a facility have found, as INSERT … SELECT from MariaDB's sequences. See ``facility``."""

from __future__ import annotations

from collections.abc import Iterator

from tests.support.facility_sizes import CLASSES, CLASSES_3D, SMALL_PROGRAM, Rows, Sizes, count, one_of


def rows(sizes: Sizes, folder: str) -> Iterator[Rows]:
    """Of all programs, whose files lie in this folder."""
    yield from _movies(sizes, f"'{folder}/")
    yield from _classes(sizes, f"'{folder}/")
    yield from _attachments(sizes, f"'{folder}")


def _movies(sizes: Sizes, folder: str) -> Iterator[Rows]:
    """The programs with a few movies each, and the one with many, which is that of the last job."""
    small = sizes.small_movies
    number = f"IF(n > {small}, n - {small}, 1 + MOD(n - 1, {SMALL_PROGRAM}))"
    program = f"IF(n > {small}, {sizes.jobs}, {sizes.small_program(f'(n - 1) DIV {SMALL_PROGRAM}')})"
    of_others = f"1 + MOD(({program} - 1) DIV 2, {sizes.other_collections})"
    collection = f"IF(n > {small}, {sizes.data_collections}, {of_others})"
    source = count(small + sizes.movies)
    yield Rows(
        "Movie",
        source,
        {
            "movieId": "n",
            "dataCollectionId": collection,
            "movieNumber": number,
            "movieFullPath": f"CONCAT({folder}Movies/FoilHole_', n, '.tiff')",
            "createdTimeStamp": f"IF(n > {small}, '2026-01-10 01:00:00', '2022-01-01') + INTERVAL {number} * 5 SECOND",
            "positionX": "MOD(n, 1000) / 10",
            "positionY": "MOD(n, 777) / 10",
            "nominalDefocus": -1.5,
        },
    )
    yield Rows(
        "MotionCorrection",
        source,
        {
            "motionCorrectionId": "n",
            "dataCollectionId": collection,
            "autoProcProgramId": program,
            "imageNumber": number,
            "firstFrame": 1,
            "lastFrame": 24,
            "dosePerFrame": 1.277,
            "totalMotion": "10 + MOD(n, 100) / 7",
            "averageMotionPerFrame": "1 + MOD(n, 100) / 70",
            "driftPlotFullPath": f"CONCAT({folder}drift_', n, '.json')",
            "micrographFullPath": f"CONCAT({folder}micrograph_', n, '.mrc')",
            "micrographSnapshotFullPath": f"CONCAT({folder}micrograph_', n, '.jpeg')",
            "fftFullPath": f"CONCAT({folder}fft_', n, '.jpeg')",
            "fftCorrectedFullPath": f"CONCAT({folder}fft_corrected_', n, '.jpeg')",
            "movieId": "n",
        },
    )
    yield Rows(
        "CTF",
        source,
        {
            "ctfId": "n",
            "motionCorrectionId": "n",
            "autoProcProgramId": program,
            "boxSizeX": 512,
            "boxSizeY": 512,
            "astigmatism": "20 + MOD(n, 50)",
            "astigmatismAngle": "MOD(n, 180)",
            "estimatedResolution": "3 + MOD(n, 40) / 10",
            "estimatedDefocus": "10000 + MOD(n, 9000)",
            "ccValue": 0.1,
            "iceRingDensity": "MOD(n, 10) / 10",
            "fftTheoreticalFullPath": f"CONCAT({folder}ctf_', n, '.jpeg')",
        },
    )
    yield Rows(
        "ParticlePicker",
        source,
        {
            "particlePickerId": "n",
            "programId": program,
            "firstMotionCorrectionId": "n",
            "particlePickingTemplate": "'LoG'",
            "particleDiameter": 18,
            "numberOfParticles": "200 + MOD(n, 150)",
            "summaryImageFullPath": f"CONCAT({folder}picked_', n, '.jpeg')",
        },
    )


def _classes(sizes: Sizes, folder: str) -> Iterator[Rows]:
    """Four classifications for each program with movies, the last in three dimensions; many for the biggest."""
    of_small, in_3d = 4 * sizes.programs, "MOD(n, 4) = 0"
    yield Rows(
        "ParticleClassificationGroup",
        count(sizes.groups),
        {
            "particleClassificationGroupId": "n",
            "particlePickerId": f"1 + {SMALL_PROGRAM} * LEAST((n - 1) DIV 4, {sizes.programs})",
            "programId": f"IF(n > {of_small}, {sizes.jobs}, {sizes.small_program('(n - 1) DIV 4')})",
            "type": f"IF({in_3d}, '3D', '2D')",
            "batchNumber": "n",
            "numberOfParticlesPerBatch": 50000,
            "numberOfClassesPerBatch": f"IF({in_3d}, {CLASSES_3D}, {CLASSES})",
            "symmetry": "'C1'",
        },
    )
    ident = f"(n - 1) * {CLASSES} + k"
    yield Rows(
        "ParticleClassification",
        f"{count(sizes.groups)} JOIN {count(CLASSES, 'k')} WHERE k <= IF({in_3d}, {CLASSES_3D}, {CLASSES})",
        {
            "particleClassificationId": ident,
            "classNumber": "k",
            "classImageFullPath": f"CONCAT({folder}class_', n, '_', k, '.jpeg')",
            "particlesPerClass": "1000 + MOD(n * k, 3000)",
            "classDistribution": 0.02,
            "rotationAccuracy": 1.5,
            "translationAccuracy": 0.7,
            "estimatedResolution": "5 + MOD(n * k, 90) / 10",
            "overallFourierCompleteness": 0.98,
            "particleClassificationGroupId": "n",
            "selected": 0,
        },
    )
    models = f"{count(sizes.groups)} JOIN {count(CLASSES_3D, 'k')} WHERE {in_3d}"
    yield Rows("CryoemInitialModel", models, {"cryoemInitialModelId": ident, "resolution": 4, "numberOfParticles": 900})
    yield Rows(
        "ParticleClassification_has_CryoemInitialModel",
        models,
        {"particleClassificationId": ident, "cryoemInitialModelId": ident},
    )


def _attachments(sizes: Sizes, folder: str) -> Iterator[Rows]:
    """A log for every second program, and six files of the biggest."""
    columns = {"filePath": f"{folder}'", "recordTimeStamp": "'2026-01-10 02:00:00'"}
    yield Rows(
        "AutoProcProgramAttachment",
        f"{count(sizes.other_jobs)} WHERE MOD(n, 2) = 1",
        {"autoProcProgramId": "n", "fileType": "'Log'", "fileName": "CONCAT('relion_', n, '.log')", **columns},
    )
    types = one_of("n", "Log", "Result", "Graph")
    yield Rows(
        "AutoProcProgramAttachment",
        count(6),
        {
            "autoProcProgramAttachmentId": f"{sizes.jobs} + n",
            "autoProcProgramId": sizes.jobs,
            "fileType": types,
            "fileName": "CONCAT('result_', n, '.json')",
            **columns,
        },
    )
