"""What private web servers have in common."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.servers.processes import ServerError, ServerProcess, accepts_connections, free_port
from tests.servers.reaper import Reaper

START_TIMEOUT = 20.0  # seconds
CHECK_TIMEOUT = 20.0  # seconds
STOP_TIMEOUT = 10.0  # seconds


class Proxy:
    """A web server with a configuration, a folder and a port of its own."""

    name: str
    reload_signal: signal.Signals

    def __init__(self, reaper: Reaper) -> None:
        self.port = free_port()
        self.folder = reaper.new_folder(self.name)
        self._process = ServerProcess(self.name, reaper, self.folder)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def configuration(self) -> Path:
        """The server's main file."""
        return self.folder / "main.conf"

    @property
    def log(self) -> str:
        """What it has said so far."""
        return self._process.log.read_text(errors="replace")

    def command(self) -> list[str]:
        """How it is started, without going to the background."""
        raise NotImplementedError

    def check_arguments(self) -> Sequence[str]:
        """What makes it check its configuration and end."""
        return ("-t",)

    def check(self) -> None:
        """Let the server itself read its configuration; raises `ServerError` with its complaints."""
        finished = subprocess.run(
            [*self.command(), *self.check_arguments()],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=CHECK_TIMEOUT,
            check=False,
        )
        if finished.returncode != 0 or "warn" in finished.stdout:
            raise ServerError(f"{self.name} does not accept its configuration:\n{finished.stdout}")

    def start(self) -> None:
        self._process.start(self.command())
        self._process.wait_until(lambda: accepts_connections(self.port), START_TIMEOUT, "accept connections")

    def reload(self) -> None:
        """Read the configuration again; requests in flight are finished by the old one."""
        os.kill(self._process.pid, self.reload_signal)

    def stop(self) -> None:
        self._process.terminate(STOP_TIMEOUT)
