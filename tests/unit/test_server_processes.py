"""Server processes end as they are told to, and nothing of them is ever left behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.servers.packages import ensure_packages
from tests.servers.processes import ServerError, ServerProcess, accepts_connections, free_port, wait_until
from tests.servers.reaper import Reaper
from tests.servers.silent import SilentBroker

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]  # seconds; a broker starts in four to ten

DOOMED_RUN = """
import time
from tests.servers.mariadb import MariaDB
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.reaper import Reaper

reaper = Reaper()
mariadb, rabbitmq = MariaDB(reaper), RabbitMQ(reaper)
mariadb.start()
rabbitmq.start()
mariadb.freeze()
print(reaper.folder, flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def reaper() -> Iterator[Reaper]:
    with Reaper() as reaper:
        yield reaper


def living_processes() -> dict[int, int]:
    """The parent of every process that has not ended."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = status.read_text(errors="replace").rpartition(")")[2].split()[:2]
            if state not in "ZX":
                parents[int(status.parent.name)] = int(parent)
    return parents


def descendants(ancestor: int) -> set[int]:
    parents = living_processes()
    found: set[int] = set()
    while more := {pid for pid, parent in parents.items() if parent in {ancestor, *found}} - found:
        found |= more
    return found


def test_nothing_is_left_of_a_run_that_is_killed() -> None:
    ensure_packages()
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", DOOMED_RUN], cwd=root, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        folder = Path(run.stdout.readline().strip())
        servers = descendants(run.pid)
        # The helper, MariaDB, the port mapper, RabbitMQ's script and its node, and the node's own children.
        assert len(servers) >= 6
        assert folder.exists()

        run.send_signal(signal.SIGKILL)

        wait_until(lambda: not servers & living_processes().keys(), 20, "end of all servers")
        wait_until(lambda: not folder.exists(), 5, "removal of the folder")


def test_signals_do_not_end_the_helper(tmp_path: Path) -> None:
    with Reaper() as reaper:
        sleeper = ServerProcess("sleeper", reaper, reaper.new_folder("sleeper"))
        sleeper.start(["sleep", "600"])
        of_this_reaper = str(reaper.folder)
        [helper] = (p for p in descendants(os.getpid()) if of_this_reaper in Path(f"/proc/{p}/cmdline").read_text())
        time.sleep(0.5)  # for Python to start

        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            os.kill(helper, number)
        time.sleep(0.5)

        assert helper in living_processes()
        assert sleeper.running
    assert not reaper.folder.exists()
    assert not sleeper.running


def test_a_server_that_ends_at_once_is_reported_with_its_log(reaper: Reaper) -> None:
    server = ServerProcess("broken", reaper, reaper.new_folder("broken"))
    server.start(["sh", "-c", "echo no such table; exit 3"])

    with pytest.raises(ServerError, match=r"(?s)broken: answer: it ended with exit code 3.*no such table"):
        server.wait_until(lambda: False, 10, "answer")

    server.kill()


def test_a_server_that_never_answers_is_reported_with_its_log(reaper: Reaper) -> None:
    server = ServerProcess("slow", reaper, reaper.new_folder("slow"))
    server.start(["sh", "-c", "echo recovering; sleep 600"])

    with pytest.raises(ServerError, match=r"(?s)slow: answer: not within 0.5 s.*recovering"):
        server.wait_until(lambda: False, 0.5, "answer")

    server.kill()


def test_no_port_is_given_twice() -> None:
    ports = [free_port() for _ in range(50)]

    assert len(set(ports)) == 50


def test_a_silent_broker_accepts_and_never_answers() -> None:
    broker = SilentBroker()
    broker.start()

    with socket.create_connection(("127.0.0.1", broker.port), timeout=0.5) as connection:
        connection.sendall(b"CONNECT\n\n\0")
        with pytest.raises(TimeoutError):
            connection.recv(1)
        broker.stop()
        # Stopping closes the connection.
        assert connection.recv(1) == b""

    assert broker.connections == 1
    assert not accepts_connections(broker.port)
