"""The service under test: in a thread of this process, or in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import uvicorn

from app import main, serving
from app.resources import Resources
from app.settings import Settings
from tests.servers.processes import free_port
from tests.support import commands

START_TIMEOUT = 60.0  # seconds; two or three on a machine that has nothing else to do
API = "/api/em/v1"


class ServiceThread:
    """A real server on a real port, in a thread: what it holds can be reached and patched."""

    def __init__(self, settings: Settings) -> None:
        self.port = free_port()
        self.app = main.create_app(settings)
        self._server = uvicorn.Server(
            uvicorn.Config(self.app, host="127.0.0.1", port=self.port, **serving.server_options())
        )
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    @property
    def resources(self) -> Resources:
        """What its use cases work with."""
        resources = self.app.state.resources
        assert isinstance(resources, Resources)
        return resources

    def client(self) -> httpx.Client:
        """A client of the native API."""
        return api_client(self.port)

    def __enter__(self) -> Self:
        self._thread.start()
        wait_ready(self.port)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(20)


class ServiceProcess:
    """``synchweb-em serve`` as a user starts it; it can be killed."""

    def __init__(self, environ: dict[str, str], log: Path, *arguments: str) -> None:
        self.port = free_port()
        self._environ = environ
        self._log = log
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("EM_")} | self._environ
        command = [sys.executable, "-m", "app", "serve", "--port", str(self.port), *self._arguments]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, env=environ, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            wait_ready(self.port)
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        """Of the process itself, not of its workers."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """``kill -9``."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(20)

    def stop(self) -> int:
        """End it in good order; its exit code."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            return self._process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def restart(self, environ: dict[str, str]) -> None:
        """End it in good order, and start it with other settings on the same port."""
        self.stop()
        self._environ = environ
        self.start()

    def client(self) -> httpx.Client:
        """A client of the native API."""
        return api_client(self.port)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop()


class DemoProcess:
    """``make run``, with its data in a folder of its own."""

    def __init__(self, environ: dict[str, str], folder: Path) -> None:
        self.port = free_port()
        self._environ = commands.environ_with(environ)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def said(self) -> str:
        """What it has written to the terminal so far."""
        return (self._folder / "log").read_text()

    def __enter__(self) -> Self:
        options = ["--port", str(self.port), "--var", str(self._folder / "var")]
        command = [sys.executable, "-m", "app", "demo", *options]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command, env=self._environ, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        try:
            wait_ready(self.port)
        except BaseException:
            self._process.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(30)
        finally:
            self._process.kill()
            self._process.wait(5)


def api_client(port: int) -> httpx.Client:
    """A client of the native API on this port."""
    limits = httpx.Limits(max_connections=256)
    # No look at the environment: a proxy cannot reach 127.0.0.1, and reading certificates takes longer than a request.
    return httpx.Client(
        base_url=f"http://127.0.0.1:{port}{API}", timeout=60, limits=limits, trust_env=False, verify=False
    )


def wait_ready(port: int) -> None:
    """Until it answers at all."""
    end = time.monotonic() + START_TIMEOUT
    while True:
        try:
            httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5, trust_env=False)
            return
        except httpx.TransportError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
