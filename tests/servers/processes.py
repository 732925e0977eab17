"""Ports, and server processes that can be stopped, killed and frozen."""

import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.servers.reaper import Reaper, living_groups

# Below Linux's range for outgoing connections: none of those can take a port while its server is down for a restart.
PORTS = range(20000, 32000)

POLL_INTERVAL = 0.02  # seconds
LOG_TAIL = 30  # lines shown when a server fails

_ports_given: set[int] = set()
_ports_lock = threading.Lock()


class ServerError(RuntimeError):
    """A server did not do what it was told in time."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on; never the same one twice."""
    with _ports_lock:
        for port in random.sample(PORTS, k=1000):
            if port in _ports_given:
                continue
            with socket.socket() as candidate:
                try:
                    candidate.bind(("127.0.0.1", port))
                except OSError:
                    continue
            _ports_given.add(port)
            return port
    raise ServerError("no free port was found")


def accepts_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], bool], timeout: float, what: str, log: Path | None = None) -> None:
    """Wait for `condition`; if it does not come true, say `what` was awaited and what the server logged last."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise ServerError(f"{what}: not within {timeout:g} s{_tail(log)}")
        time.sleep(POLL_INTERVAL)


def _tail(log: Path | None) -> str:
    if log is None or not log.exists():
        return ""
    lines = log.read_text(errors="replace").splitlines()[-LOG_TAIL:]
    return f"\nThe end of {log}:\n" + "\n".join(lines)


class ServerProcess:
    """One server program with its children, in a process group of its own so that signals reach all of them."""

    def __init__(self, name: str, reaper: Reaper, folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._reaper = reaper
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The number of the program, and of its process group."""
        if self._process is None:
            raise ServerError(f"{self.name} was not started")
        return self._process.pid

    def start(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        if self._process is not None:
            # It may have ended by itself: its children have to go and its number must be forgotten.
            self.kill()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env=environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._reaper.watch(self._process)

    def wait_until(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        """Wait for `condition`, but not for a server that has ended."""

        def true_or_ended() -> bool:
            return condition() or not self.running

        wait_until(true_or_ended, timeout, f"{self.name}: {what}", self.log)
        if not self.running:
            code = self._process.returncode if self._process else None
            raise ServerError(f"{self.name}: {what}: it ended with exit code {code}{_tail(self.log)}")

    def terminate(self, timeout: float) -> None:
        """Ask the server to end and wait for it."""
        try:
            if self.running:
                self.thaw()
                self._signal(signal.SIGTERM)
                self._wait_for_group(timeout)
        finally:
            self.kill()

    def kill(self) -> None:
        """End the server as a power failure would."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            # Its children may hold its ports a moment longer than the program itself.
            self._wait_for_group(10)
            self._reaper.forget(self._process)
            self._process = None

    def freeze(self) -> None:
        """Make the server hang: its ports still accept connections, nobody answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _wait_for_group(self, timeout: float) -> None:
        def ended() -> bool:
            return not self.running and self.pid not in living_groups()

        wait_until(ended, timeout, f"{self.name}: end", self.log)
