"""Parameters to test with: what is given, what is refused, and random ones that RELION can run with."""

from __future__ import annotations

import random
from typing import Any

from app.processing_jobs import relion
from app.processing_jobs.relion import (
    PIPELINES,
    RelionParameters,
    complete,
)

REQUIRED = {"pixelSize": 1.0, "dosePerFrame": 1.0}


DIAMETERS = {"minimumDiameter": 100, "maximumDiameter": 200}


DULL = REQUIRED | DIAMETERS


# Of each parameter, in the order of the screen: its key in the pipeline, its limits, its default.
TABLE = {
    "voltage": ("voltage", "kV", 300),
    "sphericalAberration": ("Cs", "mm", 2.7),
    "phasePlateUsed": ("ctffind_do_phaseshift", None, False),
    "pixelSize": ("angpix", "Å/pixel", ...),
    "dosePerFrame": ("motioncor_doseperframe", "e⁻/Å²", ...),
    "motionCorrectionBinning": ("motioncor_binning", None, 1),
    "gainReferenceFile": ("motioncor_gainreference", None, "gain.mrc"),
    "eerGrouping": ("eer_grouping", "frames", 20),
    "stopAfterCtfEstimation": ("stop_after_ctf_estimation", None, False),
    "doClass2D": ("do_class2d", None, True),
    "doClass3D": ("do_class3d", None, True),
    "useFscCriterion": ("use_fsc_criterion", None, False),
    "useCryolo": ("autopick_do_cryolo", None, False),
    "minimumDiameter": ("autopick_LoG_diam_min", "Å", None),
    "maximumDiameter": ("autopick_LoG_diam_max", "Å", None),
    "maskDiameter": ("mask_diameter", "Å", None),
    "boxSize": ("extract_boxsize", "pixels", None),
    "downsampledBoxSize": ("extract_small_boxsize", "pixels", None),
    "doClass2DSecondPass": ("do_class2d_pass2", None, None),
    "doClass3DSecondPass": ("do_class3d_pass2", None, None),
}


NAMES = {relion.alias(name): name for name in PIPELINES}


def parse(**given: Any) -> RelionParameters:
    """Parameters as a client sends them, with all that is required."""
    return RelionParameters.model_validate(DULL | given)


FLAGS = [
    "phasePlateUsed", "stopAfterCtfEstimation", "doClass2D", "doClass3D", "useFscCriterion", "useCryolo",
    "doClass2DSecondPass", "doClass3DSecondPass",
]  # fmt: skip


VOLTAGES = (200, 300)


TUTORIAL = {
    "voltage": 200,
    "sphericalAberration": 1.4,
    "pixelSize": 0.885,
    "dosePerFrame": 1.277,
    "minimumDiameter": 150,
    "maximumDiameter": 180,
}


def completed(**given: Any) -> RelionParameters:
    return complete(parse(**given), voltages=VOLTAGES)


# Reading rows.
CHARACTERS = "".join(
    chr(code)
    for code in range(33, 0x180)
    if chr(code).encode("cp1252", "ignore") and chr(code).isprintable() and chr(code) not in "/\\.-"
)


def random_parameters(chance: random.Random, *, digits: int) -> RelionParameters:
    """Any valid parameters, with numbers of so many digits behind the point."""

    def number(low: float, high: float) -> float:
        return min(max(low, round(chance.uniform(low, high), digits)), high)

    flags = {name: chance.choice([True, False]) for name in FLAGS}
    maximum = number(20, 900)
    given = flags | {
        "voltage": chance.choice(VOLTAGES),
        "sphericalAberration": number(0.01, 10),
        "pixelSize": number(1.1, 100),
        "dosePerFrame": number(0.01, 5),
        "motionCorrectionBinning": chance.choice([1, 2]),
        "gainReferenceFile": "".join(chance.choices(CHARACTERS, k=chance.randint(1, 85))),
        "eerGrouping": chance.randint(1, 100_000),
        "minimumDiameter": number(0.1, maximum - 1),
        "maximumDiameter": maximum,
    }
    if chance.random() < 0.5:
        given |= {"maskDiameter": number(0.1, 1024), "boxSize": 2 * chance.randint(1, 512)}
    if chance.random() < 0.5:
        given |= {"downsampledBoxSize": 2 * chance.randint(1, 512)}
    return complete(RelionParameters.model_validate(given), voltages=VOLTAGES)
