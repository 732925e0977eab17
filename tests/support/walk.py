"""A good request for every operation of the application's document, about what a ``Facility`` holds.

An operation, a path parameter, an argument or a body that is not known here raises ``NotKnownHere``, which says what to
add: a route that is new cannot be forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from app.main import create_app, openapi
from app.settings import Settings
from tests.factories import launch_body, make_file, parameters
from tests.support.facility import Facility

HERE = "tests/support/walk.py"


class NotKnownHere(LookupError):
    """The walk does not know what to ask."""


@dataclass(frozen=True)
class Operation:
    """One method at one address."""

    method: str
    path: str
    document: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def name(self) -> str:
        return str(self.document["operationId"])

    @property
    def changes(self) -> bool:
        """Whether it writes, so that each request needs something of its own. SynchWeb stops jobs with a GET."""
        return self.method != "GET" or "/stop/" in self.path

    @property
    def names(self) -> list[str]:
        """What its address has in braces."""
        return re.findall(r"\{(\w+)\}", self.path)

    def arguments(self, *, required: bool) -> list[str]:
        """Its query's arguments."""
        given = [one for one in self.document.get("parameters", ()) if one["in"] == "query"]
        # A one-time token would stand in for the header.
        return [one["name"] for one in given if one["name"] != "token" and bool(one.get("required")) is required]


@dataclass(frozen=True)
class Ask:
    """One request, from the address's root."""

    method: str
    url: str
    params: Mapping[str, Any]
    json: Mapping[str, Any] | None
    headers: Mapping[str, str]


def operations() -> list[Operation]:
    """Every operation of the application."""
    paths: Mapping[str, Mapping[str, Any]] = openapi(create_app(Settings()))["paths"]
    return [
        Operation(method.upper(), path, document) for path, found in paths.items() for method, document in found.items()
    ]


def put_files(facility: Facility) -> None:
    """The files that the rows name, as far as the walk asks for them."""
    for directory in facility.directories.values():
        make_file(Path(directory) / "GridSquare_1" / "Data" / "movie_1.tiff")
    make_file(Path(facility.directory) / "processing" / "gain.mrc")
    for file in facility.files:
        make_file(Path(file))
        if file.endswith(".json"):
            Path(file).write_text('{"data": [{"x": [1, 2], "y": [3, 4]}]}')


class Walk:
    """Makes the requests. What one of them changes, no other asks about: each is good when its turn comes."""

    def __init__(self, facility: Facility) -> None:
        self.facility = facility
        self._running = iter(facility.running)
        self._idle = iter(facility.idle)
        self._numbers = iter(range(1, 1000))

    def requests(self, operation: Operation) -> Iterator[Ask]:
        """Several for each operation: about different things, with and without the arguments that it may have."""
        if operation.changes:
            yield from self._changes(operation)
            return
        things = [self._things(operation, name) for name in operation.names]
        for values in product(*things):
            for query in self._queries(operation):
                path = operation.path.format(**dict(zip(operation.names, values, strict=True)))
                yield Ask(operation.method, path, query, None, {})

    def _things(self, operation: Operation, name: str) -> Sequence[object]:
        """What a path parameter may stand for."""
        facility = self.facility
        if name == "id":  # of what, the address says
            name = next((kind for part, kind in ID_OF.items() if part in operation.path), "dcid")
        known: dict[str, Sequence[object]] = {
            "visit": [facility.visit],
            "dcid": [facility.dcid, facility.listed_dcid],
            "jobId": [facility.job_id, facility.waiting_job, facility.stopped_job],
            "programId": [facility.program_id],
            "imageNumber": [1, facility.movies],
            "classificationId": [facility.class_id],
            "attachmentId": [facility.attachment_id],
            "type": ["2D", "3D"],
            "t": [1],
            "dcidWithMovies": [facility.dcid],
        }
        name = SAME.get(name, name)
        if name not in known:
            raise NotKnownHere(f"{operation} names {{{name}}}: add what it stands for to {HERE}, Walk._things.")
        return known[name]

    def _queries(self, operation: Operation) -> list[Mapping[str, object]]:
        """Without what may be left out, and with it."""
        if operation.name in QUERIES:
            return QUERIES[operation.name](self.facility)
        required, optional = operation.arguments(required=True), operation.arguments(required=False)
        values = {name: self._argument(operation, name) for name in (*required, *optional)}
        always = [*required, *(name for name in optional if name == "prop")]  # SynchWeb's client never leaves it out
        least = {name: values[name][0] for name in always}
        most = max((len(values[name]) for name in optional if name not in always), default=0)
        fuller = [{name: choices[turn % len(choices)] for name, choices in values.items()} for turn in range(most)]
        return [least, *fuller]

    def _argument(self, operation: Operation, name: str) -> Sequence[object]:
        facility = self.facility
        known = ARGUMENTS | {"prop": [facility.proposal], "visit": [facility.visit], "after": [facility.middle_movie]}
        if name not in known:
            raise NotKnownHere(f"{operation} takes ?{name}=: add values for it to {HERE}, ARGUMENTS or QUERIES.")
        return known[name]

    def _changes(self, operation: Operation) -> Iterator[Ask]:
        if operation.name not in CHANGES:
            raise NotKnownHere(f"{operation} changes something: add requests for {operation.name} to {HERE}, CHANGES.")
        for values, body in CHANGES[operation.name](self):
            path = operation.path.format(**values)
            query = {"prop": self.facility.proposal} if "prop" in operation.arguments(required=False) else {}
            headers = {"Idempotency-Key": f"walk-{next(self._numbers)}"} if "launch" in operation.path else {}
            yield Ask(operation.method, path, query, body, headers)

    def running(self) -> tuple[int, int]:
        """A data collection and its job, which runs, for this request only."""
        return next(self._running)

    def idle(self) -> int:
        """A data collection on which nothing runs, for this request only."""
        return next(self._idle)

    def new_directory(self) -> str:
        """Movies that are no data collection yet, relative to the visit's directory."""
        name = f"new_{next(self._numbers)}"
        make_file(Path(self.facility.directory) / name / "GridSquare_1" / "Data" / "movie_1.tiff")
        return name

    def directory(self, dcid: int) -> str:
        """Where a data collection has its movies, relative to the visit's directory."""
        return Path(self.facility.directories[dcid]).name


# Other names for the same thing.
SAME = {
    "n": "imageNumber",
    "movieNumber": "imageNumber",
    "classId": "classificationId",
    "attachId": "attachmentId",
}
# What {id} stands for where it is no data collection.
ID_OF = {"/mc/fft/image/": "dcidWithMovies"}

# Values of a query's arguments.
ARGUMENTS: dict[str, Sequence[object]] = {
    "imageNumber": [2],
    "limit": [5, 2],
    "n": [2],
    "page": [2, 1],
    "sort": ["particles", "resolution"],
    "t": [1],
    "type": ["2D", "3D"],
}
EPU = {"acquisitionSoftware": "EPU", "imageSuffix": "tiff"}


def _pages_of_classes(facility: Facility) -> list[Mapping[str, object]]:
    page = {"prop": facility.proposal, "page": 2, "per_page": 8}
    return [page, *({**page, "sort_by": sort} for sort in ("particles", "resolution"))]


# Queries of operations whose arguments do not go together as they please, or that the document does not tell of.
QUERIES: dict[str, Callable[[Facility], list[Mapping[str, object]]]] = {
    "checkLaunch": lambda facility: [
        {"imageDirectory": "raw_1", **EPU},
        {"imageDirectory": "not_there", **EPU},
        {"imageDirectory": "raw_1", "fileTemplate": "GridSquare_*/Data/*.tiff"},
    ],
    "synchwebJobs": lambda facility: [
        {"prop": facility.proposal, "currentPage": 1, "pageSize": 500},
    ],
    "synchwebClassification": _pages_of_classes,
    "synchwebCtfStatistics": lambda facility: [
        {"visit": facility.visit, "ty": kind} for kind in ("defocus", "astigmatism", "resolution")
    ],
}

Change = tuple[Mapping[str, object], Mapping[str, Any] | None]


def _launches(walk: Walk) -> list[Change]:
    """Of movies that are new, of those of a known data collection, and where a job runs."""
    directories = [walk.new_directory(), walk.directory(walk.idle()), walk.directory(walk.running()[0])]
    visit = {"visit": walk.facility.visit}
    return [(visit, launch_body(directory, ifBlocked="restart")) for directory in directories]


def _launches_of_collections(walk: Walk) -> list[Change]:
    body = {"parameters": parameters(), "ifBlocked": "restart"}
    return [({"dcid": dcid}, body) for dcid in (walk.idle(), walk.running()[0])]


def _stops(walk: Walk) -> list[Change]:
    """Of a job that runs, and once more."""
    _, job_id = walk.running()
    return [({"jobId": job_id}, None)] * 2


def _synchweb(walk: Walk, **body: Any) -> dict[str, Any]:
    return {**body, "prop": walk.facility.proposal}


# As SynchWeb's dialog sends it.
RELION_FORM: dict[str, Any] = {
    "voltage": "300",
    "Cs": 2.7,
    "ctffind_do_phaseshift": False,
    "angpix": "0.831",
    "eer_grouping": 20,
    "motioncor_binning": 1,
    "motioncor_doseperframe": 1.03,
    "wantGainReferenceFile": False,
    "motioncor_gainreference": "gain.mrc",
    "stop_after_ctf_estimation": False,
    "do_class2d": True,
    "do_class3d": True,
    "use_fsc_criterion": False,
    "autopick_do_cryolo": False,
    "autopick_LoG_diam_min": 100,
    "autopick_LoG_diam_max": 200,
    "wantCalculate": True,
    "mask_diameter": 220,
    "extract_boxsize": 240,
    "extract_small_boxsize": 128,
    "extract_downscale": "",
    "want2ndPass": False,
}

# What requests say that write, or that have a body: what their address names, and the body.
CHANGES: dict[str, Callable[[Walk], list[Change]]] = {
    "launch": _launches,
    "launchDataCollection": _launches_of_collections,
    "stopProcessingJob": _stops,
    "resendProcessingJob": lambda walk: [({"jobId": walk.facility.waiting_job}, {"reason": "lost"})],
    "synchwebStop": _stops,
    "synchwebStart": lambda walk: [({"id": walk.idle()}, _synchweb(walk, **RELION_FORM))],
    "synchwebNewDataCollection": lambda walk: [
        ({"visit": walk.facility.visit}, _synchweb(walk, imageDirectory=walk.new_directory(), **EPU))
    ],
    "synchwebComments": lambda walk: [({"id": walk.idle()}, _synchweb(walk, comments="Good ice"))],
    "synchwebMovieStatuses": lambda walk: [
        ({}, _synchweb(walk, ids=[str(dcid) for dcid in (walk.facility.dcid, walk.facility.listed_dcid)])),
        ({}, {"ids": [str(walk.facility.dcid)], "visit": walk.facility.visit}),
    ],
    "synchwebScipion": lambda walk: [({"visit": walk.facility.visit}, _synchweb(walk))],
}
