"""Zocalo as a facility runs it: its published services, each a process, with this project's recipes installed.

Two things are not here: RELION and a Slurm cluster. The copied recipes name stand-ins for these, and nothing else in
them is changed; see `adapted`.
"""

import copy
import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
import yaml

from tests.servers.broker import PROCESSING_RECIPE, Broker
from tests.servers.processes import ServerProcess, wait_until
from tests.servers.reaper import Reaper
from tests.servers.zocalo_environment import ROOT, ensure_environment, environ

RECIPES = ROOT / "deploy" / "zocalo" / "recipes"
PROCEDURE = ROOT / "tests" / "zocalo" / "upsert_processing_program_v2.sql"
START_TIMEOUT = 120.0  # seconds; each service imports for three on an idle machine
COMMAND_TIMEOUT = 60.0
LOG_TAIL = 12  # lines of each log that a failing test shows

DISPATCHER, CONNECTOR, CLUSTER, STOPPER = "Dispatcher", "ISPyB", "ClusterSubmission", "RelionStopService"
QUEUES = {
    DISPATCHER: PROCESSING_RECIPE,
    CONNECTOR: "ispyb_connector",
    CLUSTER: "cluster.submission",
    STOPPER: "relion.dev.stop",
}
OTHER_DISPATCHER = "ProcessRecipe"  # cryoemservices', whose filter makes a start of every message that names a job
EXCHANGES = ("command", "transient.status")


class Zocalo:
    """Zocalo's services on one vhost and one ISPyB; none runs until it is started."""

    def __init__(self, reaper: Reaper, broker: Broker, vhost: str, database_url: str, *, seconds_per_movie: float):
        self._reaper = reaper
        self._broker = broker
        self._vhost = vhost
        self._database = sa.make_url(database_url)
        self._folder = reaper.new_folder("zocalo")
        self._seconds_per_movie = seconds_per_movie
        self._services: dict[str, ServerProcess] = {}
        self.cluster = Cluster(self._folder / "cluster")

    def start(self, *services: str) -> None:
        """Start these services, and wait until each listens on its queue; the first time, prepare all they need."""
        if not (self._folder / "recipes").exists():
            self._prepare()
        for name in services:
            self._services[name] = service = ServerProcess(name, self._reaper, self._folder)
            service.start(self._command(name), self._environ())
        for name in services:
            queue = QUEUES.get(name, PROCESSING_RECIPE)
            self._services[name].wait_until(lambda queue=queue: self._is_read(queue), START_TIMEOUT, f"read {queue}")  # type: ignore[misc]

    def stop(self, *services: str) -> None:
        """End these services, or all."""
        for name in services or tuple(self._services):
            self._services.pop(name).terminate(10)

    @contextmanager
    def frozen(self, service: str) -> Iterator[None]:
        """A service that hangs; at most one message is in its hands, the others wait in its queue."""
        self._services[service].freeze()
        try:
            yield
        finally:
            self._services[service].thaw()

    def run(self, *command: str) -> str:
        """Run one of Zocalo's commands, such as `zocalo.go`; what it printed."""
        finished = subprocess.run(
            command,
            env=self._environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_TIMEOUT,
            check=False,
        )
        assert finished.returncode == 0, finished.stdout
        return finished.stdout

    def said(self) -> str:
        """The ends of all logs, and what was rejected, for a test that fails."""
        logs = sorted(self._folder.rglob("*.log"))
        ends = [f"{log.name}:\n" + "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL:]) for log in logs]
        dead = {queue: self._broker.count(self._vhost, f"dlq.{queue}") for queue in QUEUES.values()}
        return "\n".join([*ends, f"dead letters: {dead}"])

    def _prepare(self) -> None:
        ensure_environment()
        for queue in QUEUES.values():
            self._broker.declare_queue(self._vhost, queue)
        for exchange in EXCHANGES:
            path = f"/exchanges/{quote(self._vhost, safe='')}/{exchange}"
            self._broker.call("PUT", path, {"type": "fanout", "durable": True})
        engine = sa.create_engine(self._database)
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP PROCEDURE IF EXISTS upsert_processing_program_v2")
            connection.exec_driver_sql(PROCEDURE.read_text())
        engine.dispose()
        (self._folder / "recipes").mkdir()
        for recipe in RECIPES.glob("*.json"):
            text = json.dumps(adapted(json.loads(recipe.read_text())))
            (self._folder / "recipes" / recipe.name).write_text(text)
        self._configure()

    def _configure(self) -> None:
        rabbit = {
            "host": "127.0.0.1",
            "port": self._broker.amqp_port,
            "username": "guest",
            "password": "guest",
            "vhost": self._vhost,
        }
        configuration = {
            "version": 1,
            "rabbit": {"plugin": "pika", **rabbit},
            "over-amqp": {"plugin": "transport", "default": "PikaTransport"},
            "places": {"plugin": "storage", "zocalo.recipe_directory": str(self._folder / "recipes")},
            "environments": {"default": ["rabbit", "over-amqp", "places"]},
        }
        (self._folder / "configuration.yaml").write_text(yaml.safe_dump(configuration))
        at = self._database
        credentials = (
            f"[ispyb_sqlalchemy]\nusername = {at.username}\npassword = {at.password or ''}\nhost = {at.host}\n"
            f"port = {at.port}\ndatabase = {at.database}\n\n"
            f"[ispyb_mariadb_sp]\nuser = {at.username}\npw = {at.password or ''}\nhost = {at.host}\n"
            f"port = {at.port}\ndb = {at.database}\nreconn_attempts = 6\nreconn_delay = 1\n"
        )
        (self._folder / "ispyb.cfg").write_text(credentials)
        # cryoemservices has files of its own for the same.
        lines = "".join(f"{name} = {value}\n" for name, value in rabbit.items())
        (self._folder / "rabbit.cfg").write_text(f"[rabbit]\n{lines}")
        other = {
            "rabbitmq_credentials": str(self._folder / "rabbit.cfg"),
            "recipe_directory": str(self._folder / "recipes"),
            "ispyb_credentials": str(self._folder / "ispyb.cfg"),
        }
        (self._folder / "cryoemservices.yaml").write_text(yaml.safe_dump(other))

    def _command(self, service: str) -> list[str]:
        if service == OTHER_DISPATCHER:
            return ["cryoemservices.service", "-s", service, "-c", str(self._folder / "cryoemservices.yaml")]
        return ["zocalo.service", "-s", service]

    def _environ(self) -> dict[str, str]:
        return environ(
            ZOCALO_CONFIG=str(self._folder / "configuration.yaml"),
            ISPYB_CREDENTIALS=str(self._folder / "ispyb.cfg"),
            STAND_IN_CLUSTER=str(self.cluster.folder),
            STAND_IN_DATABASE=self._database.render_as_string(hide_password=False),
            STAND_IN_SECONDS_PER_MOVIE=str(self._seconds_per_movie),
        )

    def _is_read(self, queue: str) -> bool:
        consumers = self._broker.call("GET", f"/consumers/{quote(self._vhost, safe='')}")
        return any(consumer["queue"]["name"] == queue for consumer in consumers)


class Cluster:
    """The cluster's folder, by which it is watched and held."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    @property
    def ended(self) -> int:
        """How many jobs have ended."""
        return len(list(self.folder.glob("*.exit")))

    @contextmanager
    def full(self) -> Iterator[None]:
        """No job gets a place meanwhile."""
        hold = self.folder / "hold"
        hold.touch()
        try:
            yield
        finally:
            hold.unlink()

    def wait_ended(self, jobs: int, timeout: float) -> None:
        """Until so many jobs have ended."""
        wait_until(lambda: self.ended >= jobs, timeout, f"the end of {jobs} cluster jobs")


def adapted(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe with the scheduler and the wrapper that are here: what any facility has to look at."""
    out = copy.deepcopy(dict(recipe))
    for step in out.values():
        if isinstance(step, dict) and "cluster" in step.get("parameters", {}):
            cluster = step["parameters"]["cluster"]
            cluster["scheduler"] = "stand_in"
            cluster["commands"] = [
                line.replace("--wrap relion ", "--wrap relion_stand_in ") for line in cluster["commands"]
            ]
    return out
