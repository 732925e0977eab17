"""What is asked of the service, and how often on a usual day."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.bench.loading import Loaded
from tests.bench.serving import token
from tests.bench.wrk import Ask
from tests.factories import parameters

NATIVE, SYNCHWEB = "/api/em/v1", "/api/em"
DAY = 2000  # requests in which the mixed day comes round
POLLS = 0.95

# How often what is no poll is asked, on a day of work at a microscope.
SELDOM = {
    "ctf/n": 20,
    "mc/n": 20,
    "picker/n": 10,
    "snapshot": 20,
    "ctf/image": 10,
    "ctf/summary": 5,
    "classification": 5,
    "attachments": 3,
    "parameters": 2,
    "schema": 1,
    "collections": 2,
    "launch-check": 1,
    "launch": 1,
}


@dataclass(frozen=True)
class Operation:
    """Requests that are measured together.

    Args:
        asks: taken in turn.
        patient: whether an answer takes long, so that samples have to.
        file: an image that nginx could serve as well, instead of a query's rows.
        conditional: whether the client has the answer already, and says so.
        settled: whether it is asked when the service has known the things for a minute. It then remembers what it read.
        crowd: whether very many ask for it at once.
        polled: whether those who ask within a second share one look, so that it is measured without that, too.
    """

    name: str
    asks: tuple[Ask, ...]
    patient: bool = False
    file: str | None = None
    conditional: bool = False
    settled: bool = False
    crowd: bool = True
    polled: bool = False


@dataclass(frozen=True)
class Requests:
    """Makes requests about what was loaded, from somebody who is on the visit."""

    loaded: Loaded
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def about(cls, loaded: Loaded) -> Requests:
        return cls(loaded, {"Authorization": f"Bearer {token(loaded.facility.member)}"})

    def native(self, path: str) -> Ask:
        """Of the native API."""
        return Ask(f"{NATIVE}/{path}", headers=self.headers)

    def synchweb(self, path: str, **query: object) -> Ask:
        """As SynchWeb's page sends it."""
        arguments = {"prop": self.loaded.facility.proposal} | query
        joined = "&".join(f"{name}={value}" for name, value in arguments.items())
        return Ask(f"{SYNCHWEB}/{path}?{joined}", headers=self.headers)

    def jobs(self, dcid: int) -> Ask:
        """The page's list of jobs."""
        return self.synchweb(f"jobs/{dcid}", currentPage=1, pageSize=500)

    def launch(self) -> Ask:
        """On a data collection on which nothing was launched yet."""
        headers = {**self.headers, "Content-Type": "application/json"}
        body = json.dumps({"parameters": parameters()})
        return Ask(f"{NATIVE}/data-collections/%d/launch", "POST", headers, body)

    def check(self) -> Ask:
        """What the button says before it is pressed."""
        made = self.loaded.facility
        movies = f"imageDirectory={made.directories[made.idle[1]].rpartition('/')[2]}&acquisitionSoftware=EPU"
        return self.native(f"visits/{made.visit}/launch-check?{movies}&imageSuffix=tiff")


def operations(loaded: Loaded) -> list[Operation]:
    """Everything that is measured by itself, but for launches."""
    ask, made, usual = Requests.about(loaded), loaded.facility, loaded.usual_dcid
    big, small = made.program_id, loaded.usual_program
    numbers = range(1, made.movies, max(1, made.movies // 100))
    zipped = Ask(ask.synchweb(f"ctf/summary/{big}").path, headers={**ask.headers, "Accept-Encoding": "gzip"})
    return [
        Operation(
            f"jobs/:id with {made.movies:,} movies, in a worker's first minute",
            (ask.jobs(made.dcid),),
            patient=True,
            crowd=False,
        ),
        Operation("status of a running job", (ask.native(f"processing-jobs/{made.running[0][1]}"),), polled=True),
        Operation(
            f"status of {len(made.running)} running jobs in turn",
            tuple(ask.native(f"processing-jobs/{job}") for _, job in made.running),
            polled=True,
        ),
        Operation("jobs/:id, 7 jobs", (ask.jobs(usual),), polled=True),
        Operation("jobs/:id, 7 jobs, unchanged", (ask.jobs(usual),), conditional=True),
        Operation("dc/:id", (ask.synchweb(f"dc/{usual}"),), polled=True),
        Operation("ctf/summary, 3 rows", (ask.synchweb(f"ctf/summary/{small}"),), polled=True),
        Operation(
            f"ctf/summary, {made.movies:,} rows", (ask.synchweb(f"ctf/summary/{big}"),), patient=True, polled=True
        ),
        Operation(f"ctf/summary, {made.movies:,} rows, compressed", (zipped,), patient=True),
        Operation(
            f"one CTF row of {made.movies:,}", tuple(ask.synchweb(f"ctf/{big}/n/{number}") for number in numbers)
        ),
        Operation("image", (ask.synchweb(f"mc/snapshot/{big}/n/1"),), file=made.files[0]),
        Operation("relion/schema", (ask.synchweb("relion/schema"),)),
        Operation("launch-check", (ask.check(),)),
        Operation(f"jobs/:id, one job with {made.movies:,} movies", (ask.jobs(made.dcid),), settled=True, polled=True),
    ]


def mixed_day(loaded: Loaded) -> Sequence[Ask]:
    """A day's requests in an order that is always the same: nearly all are polls by pages and scripts."""
    chance = random.Random(1)
    ask, made = Requests.about(loaded), loaded.facility
    polled = [dcid for dcid, _ in made.running] + [loaded.usual_dcid, made.listed_dcid, made.dcid]
    polls = (
        *(ask.synchweb(f"dc/{dcid}") for dcid in polled),
        *(ask.jobs(dcid) for dcid in polled),
        *(ask.native(f"processing-jobs/{job}") for _, job in made.running),
    )
    names = list(SELDOM)
    return [
        chance.choice(polls)
        if chance.random() < POLLS
        else _seldom(ask, chance.choices(names, list(SELDOM.values()))[0], chance.randint(1, made.movies))
        for _ in range(DAY)
    ]


def _seldom(ask: Requests, name: str, number: int) -> Ask:
    made = ask.loaded.facility
    big = made.program_id
    known = {
        "ctf/n": lambda: ask.synchweb(f"ctf/{big}/n/{number}"),
        "mc/n": lambda: ask.synchweb(f"mc/{big}/n/{number}"),
        "picker/n": lambda: ask.synchweb(f"picker/{big}/n/{number}"),
        "snapshot": lambda: ask.synchweb(f"mc/snapshot/{big}/n/1"),
        "ctf/image": lambda: ask.synchweb(f"ctf/image/{big}/n/{made.movies}"),
        "ctf/summary": lambda: ask.synchweb(f"ctf/summary/{ask.loaded.usual_program}"),
        "classification": lambda: ask.synchweb(f"classification/{big}/type/2D", page=1, per_page=8),
        "attachments": lambda: ask.synchweb(f"attachments/{big}"),
        "parameters": lambda: ask.synchweb(f"relion/parameters/{made.job_id}"),
        "schema": lambda: ask.synchweb("relion/schema"),
        "collections": lambda: ask.native(f"visits/{made.visit}/data-collections"),
        "launch-check": ask.check,
        "launch": ask.launch,
    }
    return known[name]()
