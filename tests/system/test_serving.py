"""The commands of the server: what `serve` refuses, what it bears, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.orm import Session

from app import metrics, migrating, revisions, settings, slots
from app.db import Database
from app.processing_jobs import idempotency as _idempotency  # noqa: F401 - its table belongs to ``own``
from app.processing_jobs import tables as _tables  # noqa: F401
from app.settings import Settings
from app.zocalo import outbox as outbox_module
from app.zocalo.messages import StartJob
from app.zocalo.outbox import outbox
from tests.factories import launch_body, make_collection, make_visit, parameters
from tests.servers.broker import PROCESSING_RECIPE, Broker
from tests.support import commands, rows
from tests.support.environments import Environment, at_revision
from tests.support.services import ServiceProcess, ServiceThread
from tests.support.users import PASSWORD
from tests.system.support import at_once

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

NOWHERE = "mysql+pymysql://root@127.0.0.1:1/ispyb"  # where no server listens
NO_BROKER = "stomp://guest:guest@127.0.0.1:1?vhost=zocalo"
SETTINGS_ERROR, USAGE_ERROR = 78, 64


@pytest.fixture
def database(environment: Environment) -> Iterator[Database]:
    """This worker's database, with an empty outbox."""
    database = Database(environment.settings(), pool_size=4)
    database.write(lambda session: session.execute(sa.delete(outbox)))
    yield database
    database.dispose()


@pytest.fixture
def queue(environment: Environment) -> Callable[[], list[Any]]:
    """Takes what is on this worker's queue; empty at the beginning."""
    servers = environment.servers
    broker = Broker(servers.stomp_port, servers.amqp_port, servers.management_url)
    broker.messages(environment.vhost, PROCESSING_RECIPE)
    return lambda: [message["payload"] for message in broker.messages(environment.vhost, PROCESSING_RECIPE)]


def get(service: ServiceProcess | ServiceThread, path: str) -> httpx.Response:
    """A request on a connection of its own."""
    return httpx.get(f"http://127.0.0.1:{service.port}{path}", trust_env=False, verify=False, timeout=30)


def until(condition: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)


def waiting(database: Database) -> int:
    with database.read() as session:
        return outbox_module.waiting(session)[0]


@pytest.mark.parametrize(
    ("changes", "arguments", "sentences"),
    [
        ({}, ["--host", "0.0.0.0"], ["EM_AUTH__MODES is 'none', which trusts everybody, so the service listens on"]),
        ({"EM_DATABSE__URL": "x"}, [], ["EM_DATABSE__URL is no setting of this service; see"]),
        (
            {"EM_GRACE_HOURS": "soon", "EM_TIMEZONE": "Mars/Base", "EM_WARN__PICKUP_MINUTES": "-1"},
            [],
            ["EM_WARN__PICKUP_MINUTES: ", "EM_GRACE_HOURS: ", "EM_TIMEZONE: 'Mars/Base' is no time zone"],
        ),
        ({"EM_DATABASE__URL": "sqlite:///{tmp}/em.sqlite"}, ["--workers", "2"], ["SQLite admits one worker; use"]),
        ({"EM_BROKER__URL": ""}, [], ["EM_BROKER__URL is not set, and the simulator of embedded:// runs only on"]),
        ({"EM_BROKER__URL": "", "EM_DATABASE__URL": NOWHERE}, [], ["EM_BROKER__URL is not set, and whether the"]),
        (
            {"EM_DATABASE__SCHEMA": "nowhere"},
            [],
            [f"Our tables are at revision none, this version needs {revisions.NEEDED}: run"],
        ),
    ],
    ids=["host", "unknown", "wrong values", "workers", "no sandbox", "no answer", "not migrated"],
)
def test_serve_refuses_with_a_sentence_for_each_thing_that_is_wrong(
    environment: Environment,
    tmp_path: Path,
    changes: dict[str, str],
    arguments: list[str],
    sentences: list[str],
) -> None:
    if "sqlite" in changes.get("EM_DATABASE__URL", ""):
        migrating.upgrade(Database(Settings.model_validate({"database": {"url": f"sqlite:///{tmp_path}/em.sqlite"}})))
    changes = {name: value.format(tmp=tmp_path) for name, value in changes.items()}

    ended = commands.run(environment.environ | changes, "serve", *arguments)

    assert (ended.code, ended.out) == (SETTINGS_ERROR, "")
    assert len(ended.err) == len(sentences), ended.err  # and nothing else is said
    assert all(line.startswith(sentence) for line, sentence in zip(ended.err, sentences, strict=True)), ended.err


def test_serve_refuses_tables_of_a_later_version(environment: Environment) -> None:
    ended = commands.run(at_revision(environment, "0099").environ, "serve")

    assert ended.code == SETTINGS_ERROR
    assert ended.err == [
        "Our tables are at revision 0099, which this version does not know: install the version that made them, or a "
        "later one."
    ]


def test_a_relay_without_tables_is_refused_too(environment: Environment) -> None:
    ended = commands.run(environment.environ | {"EM_DATABASE__SCHEMA": "nowhere"}, "relay")

    assert ended.code == SETTINGS_ERROR
    assert ended.err == [
        f"Our tables are at revision none, this version needs {revisions.NEEDED}: run 'synchweb-em migrate'."
    ]


def test_serve_starts_while_database_and_broker_are_down_and_says_so(environment: Environment, tmp_path: Path) -> None:
    environ = environment.environ | {"EM_DATABASE__URL": NOWHERE, "EM_BROKER__URL": NO_BROKER}
    with ServiceProcess(environ, tmp_path / "log") as service:
        until(lambda: "cannot connect" in get(service, "/readyz").json()["broker"])
        alive, ready, counted = get(service, "/healthz"), get(service, "/readyz"), get(service, "/metrics")
        with service.client() as client:
            asked = client.get("/visits/cm28212-1")
        begun = time.monotonic()
        code = service.stop()
        took = time.monotonic() - begun

    assert (alive.status_code, alive.json()["status"]) == (200, "alive")
    assert (ready.status_code, ready.json()["status"]) == (503, "not-ready")
    assert ready.json()["database"].startswith("The database does not answer.")
    assert asked.status_code == 503
    assert "em_ready 0" in counted.text
    assert code == 0
    assert took < 8
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_broker_that_is_down_only_degrades_the_service(environment: Environment, database: Database) -> None:
    with ServiceThread(environment.settings(broker={"url": NO_BROKER})) as service:
        until(lambda: "cannot connect" in get(service, "/readyz").json()["broker"])
        ready, counted = get(service, "/readyz"), get(service, "/metrics")

    assert (ready.status_code, ready.json()["status"], ready.json()["database"]) == (200, "degraded", "answers")
    assert total(counted.text, "em_ready") == 1


def test_a_request_in_flight_is_answered_before_the_service_ends(
    environment: Environment, database: Database, tmp_path: Path
) -> None:
    visit = make_visit(database, environment.dls)
    dcid = make_collection(database, visit)
    environ = environment.environ | {"EM_DATABASE__LOCK_TIMEOUT": "30", "EM_DATABASE__STATEMENT_TIMEOUT": "60"}
    with (
        ServiceProcess(environ, tmp_path / "log") as service,
        service.client() as client,
        Session(database.engine) as rival,
        ThreadPoolExecutor() as pool,
    ):
        rival.connection().exec_driver_sql("START TRANSACTION")
        slots.take(rival, "dc", dcid)
        answer = pool.submit(client.post, path(dcid), json={"parameters": parameters()})
        until(lambda: waits_for_a_slot(database))

        ended = pool.submit(service.stop)
        time.sleep(1)
        still_there = not ended.done()
        rival.connection().exec_driver_sql("ROLLBACK")
        begun = time.monotonic()

        assert answer.result().status_code == 202
        assert ended.result() == 0
        assert time.monotonic() - begun < 8
    assert still_there
    assert len(rows.jobs_of(database, dcid)) == 1


def waits_for_a_slot(database: Database) -> bool:
    """Whether a transaction on our schema waits for another's slot: a statement that takes no time by itself."""
    query = sa.text("SELECT 1 FROM information_schema.processlist WHERE info LIKE :statement")
    with database.read() as session:
        return session.execute(query, {"statement": f"INSERT INTO %{database.schema}%slot%"}).first() is not None


def test_two_workers_share_the_work_and_are_counted_as_one(
    environment: Environment, database: Database, queue: Callable[[], list[Any]], tmp_path: Path
) -> None:
    visit = make_visit(database, environment.dls)
    dcids = [make_collection(database, visit, imageDirectory=f"{visit.directory}/raw{n}/") for n in range(10)]
    log = tmp_path / "log"
    environ = environment.environ | {"TMPDIR": str(tmp_path), "EM_RELAY__SWEEP_SECONDS": "0.1"}
    with ServiceProcess(environ, log, "--workers", "2") as service:
        until(lambda: log.read_text().count("Application startup complete") == 2, 30)
        fill_outbox(database, range(10_000, 10_200))
        until(lambda: waiting(database) == 0, 30)
        before = queue()
        with service.client() as client:
            answers = at_once(10, lambda index: client.post(path(dcids[index]), json={"parameters": parameters()}))
        at_once(20, lambda _: [get(service, "/healthz") for _ in range(10)])
        until(lambda: waiting(database) == 0)
        answered = shares(tmp_path, "em_http_request_seconds_bucket", route="/healthz")
        confirmed = shares(tmp_path, "em_messages_total", outcome="confirmed")
        counted = [get(service, "/metrics").text for _ in range(8)]
        launched = queue()
        code = service.stop()

    assert [message["parameters"]["ispyb_process"] for message in sorted_by_job(before)] == list(range(10_000, 10_200))
    assert Counter(message["parameters"]["ispyb_process"] for message in launched) == Counter(
        answer.json()["processingJobId"] for answer in answers
    )
    assert (len(answered), len(confirmed), sum(confirmed)) == (2, 2, 210)
    for text in counted:
        assert total(text, "em_http_request_seconds_count", route="/healthz") == sum(answered) >= 200
        assert total(text, "em_messages_total", outcome="confirmed") == 210
        assert total(text, "em_launches_total", outcome="launched") == 10
    assert (code, list(tmp_path.glob("synchweb-em-workers-*"))) == (0, [])


def path(dcid: int) -> str:
    return f"/data-collections/{dcid}/launch"


def sorted_by_job(messages: list[Any]) -> list[Any]:
    return sorted(messages, key=lambda message: int(message["parameters"]["ispyb_process"]))


def fill_outbox(database: Database, jobs: range) -> None:
    """A start message for each, all on data collections of their own."""

    def work(session: Session) -> None:
        for job in jobs:
            outbox_module.enqueue(session, job, StartJob(job, f"guid-{job}"), "me")

    database.write(work)


def shares(folder: Path, sample: str, **labels: str) -> list[float]:
    """What each worker has counted of it, of those that have counted any."""
    out = Counter[str]()
    for file in folder.glob("synchweb-em-workers-*/*.db"):
        for key, value, *_ in MmapedDict.read_all_values_from_file(str(file)):  # type: ignore[no-untyped-call]
            _, name, found, _ = json.loads(key)
            if name == sample and labels.items() <= found.items():
                out[file.stem.rpartition("_")[2]] += value
    return [value for value in out.values() if value]


def total(text: str, sample: str, **labels: str) -> float:
    """What ``/metrics`` says of it."""
    families = text_string_to_metric_families(text)
    found = [item for family in families for item in family.samples if item.name == sample]
    return sum(item.value for item in found if labels.items() <= item.labels.items())


def test_without_a_relay_nothing_is_sent_and_a_relay_beside_it_sends_it_once(
    environment: Environment, database: Database, queue: Callable[[], list[Any]], tmp_path: Path
) -> None:
    visit = make_visit(database, environment.dls)
    environ = environment.environ | {"EM_RELAY__SWEEP_SECONDS": "0.1"}
    with ServiceProcess(environ, tmp_path / "log", "--no-relay") as service, service.client() as client:
        job = client.post(f"/visits/{visit.name}/launch", json=launch_body()).json()
        time.sleep(1)
        before, ready = queue(), get(service, "/readyz").json()
        command = [sys.executable, "-m", "app", "relay"]
        with subprocess.Popen(command, env=commands.environ_with(environ), stderr=subprocess.DEVNULL) as relay:
            try:
                until(lambda: waiting(database) == 0, 30)
            finally:
                relay.terminate()
        status = client.get(f"/processing-jobs/{job['processingJobId']}").json()

    assert before == []
    assert (ready["status"], ready["messagesWaiting"]) == ("ready", 1)
    assert ready["broker"] == "not used: this process has no relay"
    assert relay.returncode == 0
    assert queue() == [{"parameters": {"ispyb_process": job["processingJobId"], "guid": job["guid"]}}]
    assert status["state"] == "submitted"


def test_config_prints_every_setting_and_no_password(environment: Environment) -> None:
    environ = environment.environ | {
        "EM_DATABASE__URL": f"mysql+pymysql://em:{PASSWORD}@db.example.org/ispyb",
        "EM_BROKER__URL": f"stomp://em:{PASSWORD}@mq.example.org:61613?vhost=zocalo",
        "EM_BROKER__MANAGEMENT_URL": f"http://em:{PASSWORD}@mq.example.org:15672",
    }

    ended = commands.run(environ, "config")

    assert ended.code == 0
    assert PASSWORD not in ended.out
    assert "EM_BROKER__URL=stomp://em:***@mq.example.org:61613?vhost=zocalo  # " in ended.out
    assert len(ended.out.splitlines()) == len(settings.known_names())


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["wibble"],
        ["serve", "--workers", "two"],
        ["serve", "--workers", "0"],
        ["serve", "--port", "99999"],
        ["doctor", "x"],
        ["sandbox"],
    ],
)
def test_usage_errors_have_an_exit_code_of_their_own(arguments: list[str]) -> None:
    ended = commands.run({}, *arguments)

    assert ended.code == USAGE_ERROR
    assert ended.err[0].startswith("usage: synchweb-em")


def test_metrics_can_be_parsed_and_have_all_names(service: ServiceThread) -> None:
    expected = {
        next(iter(item.describe())).name for item in vars(metrics).values() if isinstance(item, MetricWrapperBase)
    }

    answer = get(service, "/metrics")

    found = {family.name for family in text_string_to_metric_families(answer.text)}
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert expected | {"em_ready", "em_outbox_waiting", "em_outbox_oldest_seconds"} <= found
    assert total(answer.text, "em_ready") == 1


def test_healthz_does_not_touch_the_database(service: ServiceThread) -> None:
    used: list[object] = []
    engine = service.resources.database.engine

    def note(*taken: object) -> None:
        used.append(taken)

    sa.event.listen(engine, "checkout", note)
    alive, unused = get(service, "/healthz"), list(used)
    ready = get(service, "/readyz")
    sa.event.remove(engine, "checkout", note)

    assert (alive.status_code, unused) == (200, [])
    assert (ready.status_code, len(used)) == (200, 1)
