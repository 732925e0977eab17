"""`synchweb-em doctor` on real servers: each thing that can be wrong is named, and the others are still checked."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import httpx
import pytest
import sqlalchemy as sa

from app import doctor, migrating, revisions
from app.db import Database, DatabaseUnavailable, own
from app.ispyb import sandbox
from app.settings import Settings
from tests.servers.broker import PROCESSING_RECIPE, Broker
from tests.servers.silent import SilentBroker
from tests.support import commands
from tests.support.doctor import examine, read
from tests.support.environments import Environment, at_revision
from tests.support.listening import listener, wait_counted
from tests.support.users import PASSWORD, grant

pytestmark = [pytest.mark.system, pytest.mark.timeout(60), pytest.mark.usefixtures("dispatcher")]

NOBODY = "127.0.0.1:1"  # where no server listens
SILENT = -1  # stands for the port of a server that accepts and never answers


@pytest.fixture
def dls(environment: Environment) -> str:
    """The line of the visits' directory."""
    environment.dls.mkdir(exist_ok=True)
    return f"directory {environment.dls}"


@pytest.fixture
def broker(environment: Environment) -> Broker:
    servers = environment.servers
    return Broker(servers.stomp_port, servers.amqp_port, servers.management_url)


@pytest.fixture
def silent() -> Iterator[SilentBroker]:
    """A server that accepts connections and never answers."""
    silent = SilentBroker()
    silent.start()
    yield silent
    silent.stop()


def url(environment: Environment, **changes: Any) -> str:
    return sa.make_url(environment.database_url).set(**changes).render_as_string(hide_password=False)


def test_when_all_is_well_every_line_is_ok(environment: Environment, dls: str) -> None:
    report = examine(environment.settings())

    assert report.wrong == {}
    assert list(report.ok) == ["database", "ISPyB's tables", "our tables", "clock", "broker", "queue", dls]
    assert report.code == 0


def test_the_command_prints_lines_and_nothing_else_and_its_exit_code_tells(environment: Environment, dls: str) -> None:
    broken = environment.environ | {"EM_BROKER__URL": f"stomp://guest:{PASSWORD}@{NOBODY}?vhost=zocalo"}

    ended = commands.run(broken, "doctor")

    report = read(ended.code, ended.out)
    assert (report.code, list(report.wrong), ended.err) == (1, ["broker"], [])
    assert list(report.ok) == ["database", "ISPyB's tables", "our tables", "clock", dls]
    assert list(report.look) == ["queue"]  # for it is not known what became of that
    assert PASSWORD not in ended.out


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"password": PASSWORD}, "user or password is wrong: correct EM_DATABASE__URL"),
        ({"database": "nowhere"}, "there is no such database: correct the name in EM_DATABASE__URL"),
        ({"database": ""}, "names no database: add the name of ISPyB's to EM_DATABASE__URL"),
        ({"port": 1, "password": PASSWORD}, "nothing answers there: is MariaDB running"),
        ({"port": 1, "query": {"password": PASSWORD}}, "nothing answers there: is MariaDB running"),
        ({"port": SILENT, "password": PASSWORD}, "something listens there and does not answer as MariaDB"),
    ],
    ids=[
        "wrong password",
        "unknown database",
        "no database",
        "server not there",
        "in the query",
        "frozen or another server",
    ],
)
def test_a_database_that_cannot_be_used_is_named_and_the_rest_is_checked(
    environment: Environment, dls: str, silent: SilentBroker, changes: dict[str, Any], says: str
) -> None:
    if changes.get("port") == SILENT:
        changes = changes | {"port": silent.port}

    report = examine(environment.settings(database={"url": url(environment, **changes), "statement_timeout": 0.5}))

    assert list(report.wrong) == ["database"]
    assert says in report.wrong["database"]
    assert list(report.ok) == ["broker", "queue", dls]
    assert report.code == 1


def test_a_database_without_ispyb_is_told_from_missing_rights(environment: Environment) -> None:
    report = examine(environment.settings(database={"url": url(environment, database=environment.schema)}))

    assert "this database has none of ISPyB's tables" in report.wrong["ISPyB's tables"]
    assert "correct the name in EM_DATABASE__URL" in report.wrong["ISPyB's tables"]


def test_our_tables_that_were_never_made_are_named(environment: Environment) -> None:
    report = examine(environment.settings(database={"schema": "nowhere"}))

    assert list(report.wrong) == ["our tables"]
    assert "schema nowhere does not have them: run 'synchweb-em migrate'" in report.wrong["our tables"]


def test_our_tables_at_another_revision_are_named(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revisions, "NEEDED", "0099")
    behind = examine(environment.settings())
    monkeypatch.undo()
    ahead = examine(at_revision(environment, "0099").settings())

    revision = revisions.NEEDED
    assert f"are at revision {revision}, needed is 0099: run 'synchweb-em migrate'" in behind.wrong["our tables"]
    assert "are at revision 0099, which this version does not know" in ahead.wrong["our tables"]
    assert "install the version that made them" in ahead.wrong["our tables"]
    assert "synchweb-em migrate" not in ahead.wrong["our tables"]


@pytest.mark.parametrize(
    ("stomp_url", "says"),
    [
        (f"stomp://guest:{PASSWORD}@127.0.0.1:{{port}}?vhost={{vhost}}", "Access refused for user 'guest'"),
        ("stomp://guest:guest@127.0.0.1:{port}?vhost=nowhere", "Virtual host 'nowhere' access denied"),
        (f"stomp://guest:{PASSWORD}@{NOBODY}?vhost={{vhost}}", f"cannot connect to {NOBODY}"),
        (f"stomp://guest:{PASSWORD}@127.0.0.1:{{silent}}?vhost={{vhost}}", "no answer within 0.5 s"),
    ],
    ids=["wrong password", "wrong vhost", "nobody there", "never answers"],
)
def test_a_broker_that_cannot_be_used_is_named(
    environment: Environment, dls: str, silent: SilentBroker, stomp_url: str, says: str
) -> None:
    filled = stomp_url.format(port=environment.servers.stomp_port, vhost=environment.vhost, silent=silent.port)

    report = examine(environment.settings(broker={"url": filled, "connect_timeout": 0.5, "management_url": None}))

    assert list(report.wrong) == ["broker"]
    assert says in report.wrong["broker"]
    assert "in EM_BROKER__URL" in report.wrong["broker"]
    assert report.look["queue"].startswith("not checked: set EM_BROKER__MANAGEMENT_URL")
    assert dls in report.ok


def test_a_queue_that_is_missing_is_named(environment: Environment, dls: str) -> None:
    report = examine(environment.settings(broker={"destination": "/amq/queue/mispelt"}))

    assert list(report.wrong) == ["queue"]
    assert f"there is no queue mispelt in vhost {environment.vhost}" in report.wrong["queue"]
    assert "correct EM_BROKER__DESTINATION" in report.wrong["queue"]
    assert dls in report.ok


def test_a_destination_that_would_declare_the_queue_anew_is_named(environment: Environment, broker: Broker) -> None:
    """RabbitMQ refuses what is sent to ``/queue/…`` if the queue was declared in another way than STOMP does it."""
    broker.call("PUT", f"/queues/{environment.vhost}/plain", {"durable": True})

    quorum = examine(environment.settings(broker={"destination": "/queue/processing_recipe"}))
    with listener(broker, environment.vhost, "plain"):
        plain = examine(environment.settings(broker={"destination": "/queue/plain"}))

    assert "set EM_BROKER__DESTINATION to /amq/queue/processing_recipe" in quorum.wrong["queue"]
    assert plain.wrong == {}


def test_a_queue_that_nobody_listens_to_is_named(environment: Environment, broker: Broker) -> None:
    broker.declare_queue(environment.vhost, "lonely")
    wait_counted(broker, environment.vhost, "lonely", consumers=0)
    settings = environment.settings(broker={"destination": "/amq/queue/lonely"})
    by_amqp = environment.settings(
        broker={"url": broker.amqp_url(environment.vhost), "destination": "/queue/lonely", "management_url": None}
    )

    asked, declared = examine(settings), examine(by_amqp)

    assert asked.wrong == declared.wrong
    assert asked.wrong["queue"] == (
        f"nobody listens to queue lonely in vhost {environment.vhost}: messages wait there until Zocalo's Dispatcher "
        "runs again"
    )


def test_a_management_url_that_leads_elsewhere_does_not_make_the_queue_missing(environment: Environment) -> None:
    url = environment.servers.management_url.replace("//", "//guest:guest@") + "/api"

    report = examine(environment.settings(broker={"management_url": url}))

    assert "check EM_BROKER__MANAGEMENT_URL" in report.wrong["queue"]
    assert "there is no queue" not in report.wrong["queue"]


def test_rejected_messages_are_worth_a_look_and_no_failure(environment: Environment, broker: Broker) -> None:
    broker.declare_queue(environment.vhost, "rejecting")
    dead = {"properties": {}, "routing_key": "dlq.rejecting", "payload": "{}", "payload_encoding": "string"}
    broker.call("POST", f"/exchanges/{environment.vhost}/amq.default/publish", dead)
    wait_counted(broker, environment.vhost, "dlq.rejecting", messages=1)

    with listener(broker, environment.vhost, "rejecting"):
        asked = examine(environment.settings(broker={"destination": "/amq/queue/rejecting"}))
        declared = examine(
            environment.settings(
                broker={
                    "url": broker.amqp_url(environment.vhost),
                    "destination": "/queue/rejecting",
                    "management_url": None,
                }
            )
        )

    for report in (asked, declared):
        assert (report.code, report.wrong) == (0, {})
        assert "1 message in dlq.rejecting, which Zocalo rejected" in report.look["queue"]


@pytest.mark.parametrize(
    ("management_url", "says"),
    [
        (f"http://guest:{PASSWORD}@{{api}}", "answers 401; check login and rights in EM_BROKER__MANAGEMENT_URL"),
        (f"http://guest:{PASSWORD}@{NOBODY}", f"at {NOBODY} does not answer ([Errno 111] Connection refused)"),
        (f"http://guest:{PASSWORD}@127.0.0.1:port", "EM_BROKER__MANAGEMENT_URL is no URL, such as http://"),
        (f"{PASSWORD}", "EM_BROKER__MANAGEMENT_URL is no URL, such as http://"),
    ],
    ids=["wrong login", "not there", "wrong port", "no URL"],
)
def test_a_management_api_that_cannot_be_asked_is_named(
    environment: Environment, dls: str, management_url: str, says: str
) -> None:
    filled = management_url.format(api=environment.servers.management_url.removeprefix("http://"))

    report = examine(environment.settings(broker={"management_url": filled}))

    assert list(report.wrong) == ["queue"]
    assert says in report.wrong["queue"]
    assert dls in report.ok


def test_an_answer_that_is_not_rabbitmqs_is_named(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpx.Client, "get", lambda *_, **__: httpx.Response(200, text="<html>Welcome</html>"))

    report = examine(environment.settings())

    assert "does not answer as RabbitMQ's management API does" in report.wrong["queue"]
    assert "EM_BROKER__MANAGEMENT_URL" in report.wrong["queue"]


def test_a_visit_root_that_is_missing_unreadable_or_hanging_is_named_within_the_deadline(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    well, missing, locked, hanging = (tmp_path / name for name in ("well", "missing", "locked", "hanging"))
    well.mkdir()
    release = threading.Event()
    monkeypatch.setattr(Path, "iterdir", _iterdir(locked, hanging, release))
    roots = (missing, hanging, locked, well)

    begun = time.monotonic()
    report = examine(environment.settings(files={"roots": tuple(map(str, roots)), "deadline": 0.5}))
    took = time.monotonic() - begun
    release.set()

    assert report.wrong == {
        f"directory {missing}": "it does not exist: mount it, or correct EM_VISIT_DIRECTORY or EM_FILES__ROOTS",
        f"directory {hanging}": f"{hanging} did not answer within 0.5 s: is the mount hanging?",
        f"directory {locked}": "it cannot be read (Permission denied): let the service's user read it",
    }
    assert f"directory {well}" in report.ok
    assert took < 5


def _iterdir(locked: Path, hanging: Path, release: threading.Event) -> Callable[[Path], Iterator[Path]]:
    """For tests that run as root, whom no permission stops."""
    real = Path.iterdir

    def iterdir(path: Path) -> Iterator[Path]:
        if path == locked:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if path == hanging:
            release.wait(30)
        return real(path)

    return iterdir


def test_a_time_zone_that_the_database_does_not_keep_is_named(environment: Environment) -> None:
    report = examine(environment.settings(timezone="Asia/Tokyo"))

    assert list(report.wrong) == ["clock"]
    assert "in Asia/Tokyo it is" in report.wrong["clock"]
    assert "set EM_TIMEZONE to the zone that ISPyB's server keeps" in report.wrong["clock"]


def test_a_clock_that_is_wrong_is_named(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) - timedelta(minutes=5)

    monkeypatch.setattr(doctor, "datetime", Late)

    report = examine(environment.settings())

    assert list(report.wrong) == ["clock"]
    assert report.wrong["clock"].startswith("the database's clock differs from this machine's by +300 s: set both")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (DatabaseUnavailable("The database does not answer."), "The database does not answer."),
        (RuntimeError("'cryptography' is required"), "unexpected: RuntimeError: 'cryptography' is required"),
    ],
    ids=["gone meanwhile", "unexpected"],
)
def test_a_check_that_breaks_off_is_named_and_the_rest_is_checked(
    environment: Environment, dls: str, monkeypatch: pytest.MonkeyPatch, error: Exception, says: str
) -> None:
    monkeypatch.setattr(doctor, "_clock", Mock(side_effect=error))

    report = examine(environment.settings())

    assert report.wrong == {"clock": says}
    assert dls in report.ok
    assert report.code == 1


def test_no_check_leaves_a_row_a_lock_or_a_message(environment: Environment, broker: Broker) -> None:
    database = Database(environment.settings(), pool_size=1)
    user = f"{environment.schema}_doctor"  # whose connections are the doctor's
    granted, _ = grant(environment, user)
    before = everything(database), broker.count(environment.vhost, PROCESSING_RECIPE)

    report = examine(granted.settings())

    assert report.code == 0
    assert (everything(database), broker.count(environment.vhost, PROCESSING_RECIPE)) == before
    deadline = time.monotonic() + 5  # a lock ends with its connection, and the server notices that a little later
    while connections := connections_of(database, user):
        assert time.monotonic() < deadline, connections
        time.sleep(0.05)
    database.dispose()


def everything(database: Database) -> list[int]:
    """How many rows each table has that the doctor tries to write."""
    with database.read() as session:
        return [
            session.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in (*doctor.WRITTEN, *own.sorted_tables)
        ]


def connections_of(database: Database, user: str) -> int:
    with database.read() as session:
        query = sa.text("SELECT count(*) FROM information_schema.processlist WHERE user = :user")
        return int(session.execute(query, {"user": user}).scalar_one())


def test_on_sqlite_a_missing_file_is_named_and_not_made_and_a_sandbox_is_well(tmp_path: Path) -> None:
    file = tmp_path / "em.sqlite"
    settings = Settings.model_validate(
        {
            "database": {"url": f"sqlite:///{file}"},
            "broker": {"url": f"embedded://{tmp_path}/spool"},
            "visit_directory": f"{tmp_path}/dls/{{beamline}}/data/{{year}}/{{visit}}",
        }
    )

    missing = examine(settings)
    left = list(tmp_path.iterdir())
    database = Database(settings)
    migrating.upgrade(database)
    unmarked = examine(settings)
    sandbox.create(database, settings)
    database.dispose()
    well = examine(settings)

    assert left == []
    assert "there is no such file: run 'synchweb-em demo', or set EM_DATABASE__URL" in missing.wrong["database"]
    assert "this database is no sandbox: set EM_BROKER__URL" in unmarked.wrong["broker"]
    assert well.wrong == {}
