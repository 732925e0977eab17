"""The ice-breaker's attachments: files that open, and their rows."""

import json
import re
from pathlib import Path

import sqlalchemy as sa

from app.db import Database
from app.ispyb.tables import AutoProcProgramAttachment
from app.settings import Settings
from app.simulator import attachments
from app.simulator.attachments import Attachment
from app.simulator.classes import PARTICLES_PER_BATCH
from app.simulator.project import Project, Task
from tests.unit.simulator.jobs import StartZocalo, make_job, send, wait_for_end


def made(folder: Path, particles: int = 500) -> dict[str, Attachment]:
    task = Task(1, 1, "guid", folder / "raw", "*.tiff", folder / "results", folder, folder / "stop", {})
    return {each.type: each for each in attachments.ice_breaker(Project(task), particles)}


def test_the_graph_is_a_histogram_of_all_particles(tmp_path: Path) -> None:
    graph = made(tmp_path)["Graph"]

    figure = json.loads(graph.content)
    assert graph.path == tmp_path / "results/External/Icebreaker_group_batch_001/ice_hist.json"
    assert figure["data"][0]["type"] == "histogram"
    assert len(figure["data"][0]["x"]) == 500
    assert "= 500" in figure["layout"]["title"]["text"]


def test_the_page_is_a_pdf_whose_parts_are_where_it_says(tmp_path: Path) -> None:
    page = made(tmp_path)["Result"].content

    table = int(re.findall(rb"startxref\n(\d+)\n", page)[0])
    offsets = [int(offset) for offset in re.findall(rb"^(\d{10}) 00000 n $", page[table:], re.MULTILINE)]
    stream = re.findall(rb"/Length (\d+) >>\nstream\n(.*?)endstream", page, re.DOTALL)
    assert page.startswith(b"%PDF-")
    assert page.endswith(b"%%EOF\n")
    assert page[table:].startswith(b"xref\n0 6\n")
    assert [page[offset:].split(b"\n")[0] for offset in offsets] == [b"%d 0 obj" % n for n in range(1, 6)]
    assert [int(length) for length, _ in stream] == [len(drawing) for _, drawing in stream]


def test_the_log_says_how_many_particles_there_were(tmp_path: Path) -> None:
    assert "500 particles" in made(tmp_path)["Log"].content.decode()


def test_they_are_always_the_same(tmp_path: Path) -> None:
    assert made(tmp_path) == made(tmp_path)


def test_a_run_that_classifies_has_them_from_its_first_batch_on(
    database: Database, settings: Settings, zocalo: StartZocalo
) -> None:
    job = make_job(database, settings, parameters={"do_class2d": "true"})
    send(settings, job.start)

    zocalo()
    program = wait_for_end(database, job).program_id

    row = AutoProcProgramAttachment.c
    columns = (row.autoProcProgramId, row.fileType, row.fileName, row.filePath, row.recordTimeStamp, row.importanceRank)
    with database.read() as session:
        rows = session.execute(sa.select(*columns).order_by(row.importanceRank.desc())).all()
    expected = made(job.results_directory.parent, PARTICLES_PER_BATCH)
    assert [(each.fileType, each.fileName) for each in rows] == [
        ("Graph", "ice_hist.json"),
        ("Result", "ice_hist.pdf"),
        ("Log", "run.out"),
    ]
    for each in rows:
        path = Path(each.filePath) / each.fileName
        assert path.is_relative_to(job.results_directory)
        assert path.read_bytes() == expected[each.fileType].content
        assert each.autoProcProgramId == program
        assert each.recordTimeStamp is not None
