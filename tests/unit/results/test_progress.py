"""Progress is what all rows say, though each row is read only for as long as others may still come before it."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.access.identity import Person
from app.db import Database
from app.filesystem.looks import Looks
from app.ispyb import sqlite, tables
from app.ispyb.tables import CTF, MotionCorrection, Movie, ParticlePicker, inserted_id
from app.resources import Resources
from app.results import progress
from app.results.progress import Progress
from app.settings import DatabaseSettings, Settings
from tests.factories import make_ctf, make_motion, make_movie, make_picker, make_visit
from tests.support.runs import MORNING, Run, make_run

STAFF = Person("staff", staff=True)
NOBODY = Person("nobody", person_id=0)


class Clock:
    """A clock that a test turns."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Watch:
    """A program that is polled, and the clock by which it is."""

    resources: Resources
    run: Run
    clock: Clock = field(default_factory=Clock)

    def at(self, seconds: float, person: Person = STAFF) -> Progress | None:
        """The answer this long after the first."""
        self.clock.now = Clock.now + seconds
        return progress.find_progress(self.resources, person, [self.run.program]).get(self.run.program)

    def change_all(self, number: int) -> None:
        """Give all images this number, which nobody does, so as to tell what was read from what was remembered."""
        change = sa.update(MotionCorrection).where(MotionCorrection.c.autoProcProgramId == self.run.program)
        self.run.database.write(lambda session: session.execute(change.values(imageNumber=number)))


def remember(monkeypatch: pytest.MonkeyPatch, database: Database, clock: Clock, **options: Any) -> None:
    """Let progress in this database be remembered by this clock, from now on."""
    monkeypatch.setitem(progress._memories, database, progress.Memory(clock=clock, **options))


def make_member(database: Database, run: Run) -> Person:
    """Somebody who may see this run only."""
    values = {"givenName": "ada"}
    person = database.write(lambda session: inserted_id(session.execute(sa.insert(tables.Person).values(values))))
    listed = {"sessionId": run.visit.session_id, "personId": person}
    database.write(lambda session: session.execute(sa.insert(tables.SessionHasPerson).values(listed)))
    return Person("ada", person_id=person)


def whole(database: Database, program_ids: Sequence[int]) -> dict[int, Progress]:
    """What all rows say, worked out row by row."""
    motion = MotionCorrection.c
    images = MotionCorrection.outerjoin(Movie, Movie.c.movieId == motion.movieId)
    sources = {
        "mc": (motion.autoProcProgramId, images),
        "ctf": (CTF.c.autoProcProgramId, images.join(CTF, CTF.c.motionCorrectionId == motion.motionCorrectionId)),
        "pick": (
            ParticlePicker.c.programId,
            images.join(ParticlePicker, ParticlePicker.c.firstMotionCorrectionId == motion.motionCorrectionId),
        ),
    }
    found: dict[int, dict[str, int | None]] = {}
    with database.read() as session:
        for kind, (program, source) in sources.items():
            statement = sa.select(program, motion.imageNumber, Movie.c.createdTimeStamp).select_from(source)
            by_program: dict[int, list[Any]] = {}
            for row in session.execute(statement.where(program.in_(program_ids))):
                by_program.setdefault(row[0], []).append(row)
            for program_id, rows in by_program.items():
                dated = [(row[2] or MORNING.replace(year=1970), row[1]) for row in rows if row[1] is not None]
                known = found.setdefault(program_id, {})
                known[f"{kind}_max"] = max((number for _, number in dated), default=None)
                known[f"{kind}_latest"] = max(dated)[1] if dated else None
    return {program_id: Progress(**known) for program_id, known in found.items()}


class Pipeline:
    """Writes results of two runs in an order that nobody would choose: some rows come after rows with higher ids."""

    def __init__(self, runs: Sequence[Run], clock: Clock, dice: random.Random) -> None:
        self.runs = runs
        self.database = runs[0].database
        self.clock = clock
        self.dice = dice
        self.late: list[tuple[float, Callable[[], None]]] = []  # until when they have to be written, and how
        self.images: dict[int, list[int]] = {run.program: [] for run in runs}
        with self.database.read() as session:
            keys = [next(iter(table.primary_key)) for table in (MotionCorrection, CTF, ParticlePicker)]
            highest = [session.execute(sa.select(sa.func.max(key))).scalar() for key in keys]
        self.next_id = max(number or 0 for number in highest) + 1

    def work(self) -> None:
        """Take an id, and write its row now or within a minute."""
        write = self._row(self.dice.choice(self.runs), self.next_id)
        self.next_id += 1
        if self.dice.random() < 0.4:
            self.late.append((self.clock.now + self.dice.uniform(1, 59), write))
        else:
            write()

    def wait(self) -> None:
        """Let time pass, and write what has to be by then."""
        self.clock.now += self.dice.choice([0.5, 10, 30, 45, 70])
        due = [one for one in self.late if one[0] < self.clock.now]
        self.late = [one for one in self.late if one not in due]
        for _, write in due:
            write()

    def _row(self, run: Run, ident: int) -> Callable[[], None]:
        images = self.images[run.program]
        step = self.dice.choice(["mc", "mc", "ctf", "pick"]) if images else "mc"
        image = self.dice.choice(images) if images else None
        number = self.dice.choice([None, *range(1, 999)]) if self.dice.random() < 0.9 else None
        created = MORNING + timedelta(minutes=self.dice.randrange(500))

        def write() -> None:
            if step == "ctf":
                make_ctf(self.database, run.program, image, ctfId=ident)
            elif step == "pick":
                make_picker(self.database, run.program, image, particlePickerId=ident)
            else:
                movie = make_movie(self.database, run.dcid, number, createdTimeStamp=created) if ident % 5 else None
                make_motion(self.database, run.program, movie, number, motionCorrectionId=ident)
                images.append(ident)

        return write


def follow(resources: Resources, runs: Sequence[Run], clock: Clock, seed: int, steps: int) -> None:
    """Poll two runs while results come, for persons with different rights; each answer is what all rows say."""
    dice = random.Random(seed)
    pipeline = Pipeline(runs, clock, dice)
    rights = {STAFF: list(runs), NOBODY: [], make_member(pipeline.database, runs[0]): [runs[0]]}
    wanted = [run.program for run in runs]
    for step in range(steps):
        for _ in range(dice.randrange(4)):
            pipeline.work()
        pipeline.wait()
        person, mine = dice.choice(list(rights.items()))

        found = progress.find_progress(resources, person, wanted)

        assert found == whole(pipeline.database, [run.program for run in mine]), (seed, step, person)


@pytest.fixture
def resources(tmp_path: Path) -> Iterator[Resources]:
    """On SQLite."""
    settings = Settings(
        share_seconds=0,
        database=DatabaseSettings(url=f"sqlite:///{tmp_path}/em.sqlite"),
        visit_directory=f"{tmp_path}/dls/{{beamline}}/data/{{year}}/{{visit}}",
    )
    database = Database(settings)
    sqlite.tables().create_all(database.engine)
    yield Resources(settings, database, Looks(threads=1, deadline=2))
    database.dispose()


@pytest.fixture
def watch(resources: Resources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watch:
    """A run that has found nothing yet."""
    watch = Watch(resources, make_run(resources.database, make_visit(resources.database, tmp_path / "dls")))
    remember(monkeypatch, resources.database, watch.clock)
    return watch


@pytest.mark.parametrize("seed", range(5))
def test_every_answer_is_what_all_rows_say(watch: Watch, seed: int, tmp_path: Path) -> None:
    other = make_run(watch.run.database, make_visit(watch.run.database, tmp_path / "dls"))

    follow(watch.resources, [watch.run, other], watch.clock, seed, steps=60)


def test_a_program_without_results_is_not_in_the_answer_until_it_has_some(watch: Watch) -> None:
    before = [watch.at(seconds) for seconds in (0, 60, 61, 120)]
    watch.run.image(None)
    without_number = watch.at(150)
    watch.run.image(4)

    assert before == [None] * 4
    assert without_number == Progress()
    assert watch.at(180) == Progress(mc_latest=4, mc_max=4)


def test_rows_that_have_settled_are_not_read_again(watch: Watch) -> None:
    watch.run.image(4)
    watch.at(0)
    watch.at(60)
    watch.change_all(99)

    assert watch.at(61) == Progress(mc_latest=4, mc_max=4)
    watch.run.image(7, created=MORNING - timedelta(days=1))
    assert watch.at(62) == Progress(mc_latest=4, mc_max=7)


def test_a_program_that_is_asked_for_later_is_read_once(watch: Watch) -> None:
    later = make_run(watch.run.database, watch.run.visit)
    later.image(4)
    watch.at(0)
    polled = Watch(watch.resources, later, watch.clock)
    polled.at(60)
    polled.change_all(99)

    assert polled.at(61) == Progress(mc_latest=4, mc_max=4)


def test_a_row_that_was_committed_after_its_successors_is_read(watch: Watch) -> None:
    make_motion(watch.run.database, watch.run.program, None, 1, motionCorrectionId=10)
    first = watch.at(0)
    make_motion(watch.run.database, watch.run.program, None, 8, motionCorrectionId=5)  # at 59, after the last poll

    assert first == Progress(mc_latest=1, mc_max=1)
    assert [watch.at(seconds) for seconds in (61, 62, 125)] == [Progress(mc_latest=8, mc_max=8)] * 3


def test_after_an_hour_all_rows_are_read_anew(watch: Watch) -> None:
    watch.run.image(4)
    for seconds in (0, 60, 3000):
        watch.at(seconds)
    watch.change_all(3)

    assert watch.at(progress.FORGOTTEN - 1) == Progress(mc_latest=4, mc_max=4)
    assert watch.at(progress.FORGOTTEN) == Progress(mc_latest=3, mc_max=3)


def test_what_was_not_asked_for_the_longest_is_forgotten_first(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    database = watch.run.database
    remember(monkeypatch, database, watch.clock, most=2)
    polled = [Watch(watch.resources, make_run(database, watch.run.visit), watch.clock) for _ in range(3)]
    for one in polled:
        one.run.image(4)
    polled[0].at(0)
    for index in (0, 1, 0, 2):
        polled[index].at(60)
    for one in polled:
        one.change_all(99)

    numbers = [answer.mc_max for answer in (polled[0].at(61), polled[2].at(61), polled[1].at(61)) if answer]

    assert numbers == [4, 4, 99]


def test_what_others_have_read_is_not_shown_to_who_may_not_see_it(watch: Watch) -> None:
    watch.run.image(4)
    member = make_member(watch.run.database, watch.run)
    seen = [watch.at(seconds, person) for seconds in (0, 60, 61) for person in (STAFF, member)]
    left = sa.delete(tables.SessionHasPerson).where(tables.SessionHasPerson.c.personId == member.person_id)
    watch.run.database.write(lambda session: session.execute(left))

    assert seen == [Progress(mc_latest=4, mc_max=4)] * 6
    assert [watch.at(62, person) for person in (member, NOBODY)] == [None, None]
    assert watch.at(62) == Progress(mc_latest=4, mc_max=4)


def test_each_database_is_remembered_for_itself(watch: Watch, tmp_path: Path) -> None:
    watch.run.image(4)
    settings = watch.resources.settings.model_copy(
        update={"database": DatabaseSettings(url=f"sqlite:///{tmp_path}/other.sqlite")}
    )
    database = Database(settings)
    sqlite.tables().create_all(database.engine)
    other = make_run(database, make_visit(database, tmp_path / "dls"))
    other.image(9)
    assert watch.at(0) == Progress(mc_latest=4, mc_max=4)

    found = progress.find_progress(Resources(settings, database, watch.resources.looks), STAFF, [other.program])
    database.dispose()

    assert other.program == watch.run.program
    assert found == {other.program: Progress(mc_latest=9, mc_max=9)}


def test_threads_share_the_memory(watch: Watch) -> None:
    answers: dict[int, list[Progress | None]] = {number: [] for number in range(4)}

    def poll(number: int) -> None:
        for _ in range(40):
            watch.clock.now += 7
            found = progress.find_progress(watch.resources, STAFF, [watch.run.program])
            answers[number].append(found.get(watch.run.program))

    threads = [threading.Thread(target=poll, args=(number,)) for number in answers]
    for thread in threads:
        thread.start()
    for number in range(1, 30):
        watch.run.image(number, created=MORNING + timedelta(minutes=number))
    for thread in threads:
        thread.join()

    for polled in answers.values():
        numbers = [0 if one is None or one.mc_max is None else one.mc_max for one in polled]
        assert numbers == sorted(numbers)
        assert len(numbers) == 40
    assert progress.find_progress(watch.resources, STAFF, [watch.run.program]) == whole(
        watch.run.database, [watch.run.program]
    )
