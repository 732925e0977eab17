"""What is in the way of a start is said before anything is begun, and what was killed leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.servers.processes import free_port
from tests.support import commands
from tests.support.environments import Environment
from tests.support.services import ServiceProcess

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


def test_a_supervisor_that_was_killed_takes_its_workers_with_it(environment: Environment, tmp_path: Path) -> None:
    environ = environment.environ | {"TMPDIR": str(tmp_path)}  # what a killed process leaves, pytest removes
    service = ServiceProcess(environ, tmp_path / "service.log", "--workers", "2")
    service.start()
    workers = children(service.pid)

    service.kill()  # perhaps before the second worker is ready: that one must not stay either
    end = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < end:
        time.sleep(0.2)
    left = [pid for pid in workers if Path(f"/proc/{pid}").exists()]
    service.start()
    with service.client() as client:
        again = client.get("/relion/parameters-schema").status_code
    service.stop()

    assert len(workers) >= 2
    assert left == []
    assert again == 200


def test_a_worker_that_does_not_end_keeps_no_other_one(environment: Environment, tmp_path: Path) -> None:
    """Each holds what those before it might wait for."""
    environ = environment.environ | {"TMPDIR": str(tmp_path)}
    service = ServiceProcess(environ, tmp_path / "service.log", "--workers", "3")
    service.start()
    workers = children(service.pid)
    os.kill(workers[-1], signal.SIGSTOP)
    try:
        service.kill()
        end = time.monotonic() + 20
        while any(Path(f"/proc/{pid}").exists() for pid in workers[:-1]) and time.monotonic() < end:
            time.sleep(0.2)
        left = [pid for pid in workers if Path(f"/proc/{pid}").exists()]
    finally:
        os.kill(workers[-1], signal.SIGKILL)

    assert len(workers) == 3
    assert left == workers[-1:]


def test_workers_begin_as_copies_and_import_nothing_again(environment: Environment, tmp_path: Path) -> None:
    with ServiceProcess(environment.environ, tmp_path / "service.log", "--workers", "2") as service:
        supervisor = Path(f"/proc/{service.pid}/cmdline").read_bytes()
        workers = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children(service.pid)]

    # One that Python starts anew has a command line of its own, and a tracker of resources beside it.
    assert workers == [supervisor] * 2


def test_a_worker_that_is_told_to_end_before_uvicorn_listens_ends() -> None:
    """The supervisor's own handlers, which it begins with, would only write the signal down."""
    script = (
        "import signal, sys, time; from app import serving; "
        "signal.signal(signal.SIGTERM, lambda *_: None); "
        "worker = serving._Worker(target=time.sleep, args=(60,)); worker.start(); time.sleep(0.5); "
        "worker.terminate(); worker.join(10); print(worker.exitcode); worker.kill()"
    )

    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)

    assert ended.stdout.strip() == str(-signal.SIGTERM)


def children(parent: int) -> list[int]:
    """The processes that another one started."""
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def test_a_port_in_use_is_said_before_anything_is_begun(environment: Environment, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        served = commands.run(environment.environ, "serve", "--port", str(port))
        demo = commands.run({}, "demo", "--port", str(port), "--var", str(tmp_path / "var"))

    assert (served.code, demo.code) == (78, 78)
    assert f"Cannot listen on 127.0.0.1:{port}" in served.err[0]
    assert not (tmp_path / "var").exists()


def test_a_demo_that_cannot_write_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    ended = commands.run({}, "demo", "--port", str(free_port()), "--var", str(tmp_path / "file"))

    assert ended.code == 78
    assert "Cannot write below" in ended.err[0]


def test_a_sandbox_is_not_made_among_real_visits(environment: Environment) -> None:
    environ = {name: value for name, value in environment.environ.items() if name != "EM_VISIT_DIRECTORY"}

    ended = commands.run(environ, "sandbox", "create")

    assert ended.code == 78
    assert "EM_VISIT_DIRECTORY is not set" in ended.err[0]
