"""The service as a facility runs it: `synchweb-em serve` in processes of its own, with tokens."""

from __future__ import annotations

import http.client
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from app.access import tokens
from tests.servers.processes import ServerError, ServerProcess, free_port
from tests.servers.reaper import Reaper
from tests.support.environments import Environment

KEY = "a key that is as long as HS512 wants it to be, which is sixty-four bytes at the least"
TOKEN_SECONDS = 24 * 3600
START_TIMEOUT = 120.0  # seconds
STOP_TIMEOUT = 30.0  # seconds
POLL = 0.005  # seconds between two questions whether it answers yet
IDLE_SECONDS, IDLE_ROUNDS = 0.15, 3
IDLE_TICKS = 2  # hundredths of a second of the processor's time in each: the relay looks around once a second
SETTLE_TIMEOUT = 120.0  # seconds


def token(login: str) -> str:
    """SynchWeb's token for somebody."""
    return tokens.issue(login, SecretStr(KEY), seconds=TOKEN_SECONDS)


@dataclass(frozen=True)
class Memory:
    """Megabytes that a worker holds now, and held at most."""

    resident: float
    peak: float


class Server:
    """A web server with worker processes."""

    def __init__(self, name: str, reaper: Reaper, behind: Sequence[int] = ()) -> None:
        self.port = free_port()
        self._behind = behind  # processes that work for it: the database's goes on where nobody waits any more
        self._process = ServerProcess(name, reaper, reaper.new_folder(name))

    def command(self) -> list[str]:
        """How it is started."""
        raise NotImplementedError

    def environ(self) -> dict[str, str]:
        """With which variables."""
        raise NotImplementedError

    def start(self, path: str, headers: Mapping[str, str]) -> float:
        """Start it; the seconds until it answered this request."""
        begun = time.monotonic()
        self._process.start(self.command(), self.environ())
        while True:
            with suppress(OSError, http.client.HTTPException):
                if self.get(path, headers).status == 200:
                    return time.monotonic() - begun
            if time.monotonic() - begun > START_TIMEOUT or not self._process.running:
                raise ServerError(f"{self._process.name} does not answer:\n{self.last_words()}")
            time.sleep(POLL)

    def stop(self) -> None:
        self._process.terminate(STOP_TIMEOUT)

    def get(self, path: str, headers: Mapping[str, str]) -> Got:
        """One answer, on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            begun = time.monotonic()
            connection.request("GET", path, headers=dict(headers))
            answer = connection.getresponse()
            first = answer.read(1)
            waited = time.monotonic() - begun
            return Got(answer.status, dict(answer.getheaders()), first + answer.read(), waited * 1000)
        finally:
            connection.close()

    def last_words(self) -> str:
        """The end of its log, but for the lines about requests that were answered."""
        lines = self._process.log.read_text(errors="replace").splitlines()
        return "\n".join([line for line in lines if "app.access_log" not in line][-30:])

    def memory(self) -> list[Memory]:
        """Of each worker."""
        return [_memory(worker) for worker in self._workers()]

    def settle(self) -> bool:
        """Wait until it does nothing any more, for it may still answer those who have gone; whether it came to that."""
        begun, quiet, before = time.monotonic(), 0, self._ticks()
        while quiet < IDLE_ROUNDS:
            if time.monotonic() - begun > SETTLE_TIMEOUT:
                return False
            time.sleep(IDLE_SECONDS)
            now = self._ticks()
            quiet = quiet + 1 if now - before <= IDLE_TICKS else 0
            before = now
        return True

    def _ticks(self) -> int:
        return sum(_ticks(process) for process in (*self._workers(), *self._behind))

    def _workers(self) -> list[int]:
        """uvicorn starts them as children, beside one of Python's own that keeps track of what they share."""
        parent, workers = self._process.pid, []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                line = (folder / "cmdline").read_bytes()
                if b"resource_tracker" not in line and _fields(int(folder.name))[1] == str(parent):
                    workers.append(int(folder.name))
        return workers


@dataclass(frozen=True)
class Got:
    """An answer.

    Args:
        first_byte: milliseconds until the first byte of its body was there.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    first_byte: float


class Service(Server):
    """The service on these databases."""

    def __init__(
        self,
        reaper: Reaper,
        environment: Environment,
        workers: int,
        behind: Sequence[int],
        settings: Mapping[str, str],
    ) -> None:
        super().__init__("service", reaper, behind)
        self._settings = settings
        self._environment = environment
        self._workers_wanted = workers
        self.sharing = True  # whether those who ask within a second share one look, as by default

    def command(self) -> list[str]:
        """As in `docs/operations.md`."""
        program = str(Path(sys.executable).parent / "synchweb-em")
        return [program, "serve", "--port", str(self.port), "--workers", str(self._workers_wanted)]

    def environ(self) -> dict[str, str]:
        """With tokens, what is to be tried, and nothing else that is not needed."""
        settings = {**self._environment.environ, **self._settings}
        settings |= {"EM_AUTH__MODES": "synchweb", "EM_AUTH__JWT_KEY": KEY}
        if not self.sharing:
            settings["EM_SHARE_SECONDS"] = "0"
        return {name: value for name, value in os.environ.items() if not name.startswith("EM_")} | settings


def _fields(pid: int) -> list[str]:
    """Of /proc/…/stat, from the process's state on: its name before may contain anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _ticks(pid: int) -> int:
    try:
        fields = _fields(pid)
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def _memory(pid: int) -> Memory:
    status = Path(f"/proc/{pid}/status").read_text()
    resident, peak = (re.search(rf"{name}:\s+(\d+) kB", status) for name in ("VmRSS", "VmHWM"))
    assert resident is not None
    assert peak is not None
    return Memory(int(resident[1]) / 1024, int(peak[1]) / 1024)
