"""The commands that run on the server: what they need is loaded only when one of them is called."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import multiprocessing.context
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn import _subprocess
from uvicorn.supervisors.multiprocess import SIGNALS

from app import logging, settings
from app import main as wiring
from app.access import tokens
from app.db import Database
from app.errors import SettingsError
from app.ispyb import sandbox
from app.settings import Settings

SHUTDOWN_SECONDS = 15  # for requests in flight when the service is told to end
# Longer than proxies keep idle connections (nginx: 60 s): who closes first must be the one who sends next.
KEEP_ALIVE_SECONDS = 75

WHO = (
    "Requests need a token now. In another terminal, with the same EM_AUTH__JWT_KEY: "
    f"export EM_TOKEN=$(synchweb-em token {sandbox.USER})\n"
    f"{sandbox.USER} sees every visit but is no staff, {sandbox.GUEST} sees {sandbox.EPU} only, "
    f"{sandbox.STAFF} is staff.\n"
)


def serve(arguments: argparse.Namespace) -> int:
    """Answer requests."""
    if arguments.no_relay:
        os.environ["EM_RELAY__ENABLED"] = "false"  # the workers read it too
    loaded = settings.load()
    logging.configure()
    database = Database(loaded, pool_size=1)
    wiring.check(loaded, database, host=arguments.host, workers=arguments.workers)
    database.dispose()
    _require_port(arguments.host, arguments.port)
    if arguments.workers == 1:
        return _listen(loaded, arguments.host, arguments.port)
    # uvicorn starts its workers from nothing. To import all this takes longer than everything else at a start.
    assert _subprocess.spawn is not None, "this uvicorn starts its workers in another way"
    _subprocess.spawn = _Forked  # type: ignore[assignment]
    uvicorn.run(
        "app.serving:worker",
        factory=True,
        host=arguments.host,
        port=arguments.port,
        workers=arguments.workers,
        **server_options(),
    )
    return 0


class _Worker(multiprocessing.context.ForkProcess):
    """A worker that begins as a copy of its supervisor, with everything imported and no thread at work."""

    def run(self) -> None:
        for number in SIGNALS:  # the supervisor's handlers: until uvicorn sets its own here, signals would be lost
            signal.signal(number, signal.SIG_DFL)
        super().run()


class _Forked:
    """What uvicorn makes workers with."""

    Process = _Worker


def worker() -> Any:
    """The application, for one of several workers: each is a process of its own."""
    logging.configure()
    threading.Thread(target=_end_with_supervisor, name="supervisor", daemon=True).start()
    return wiring.app_from_environment()


def _end_with_supervisor() -> None:
    """A worker whose supervisor was killed would go on, hold the port, and nobody would know of it."""
    supervisor = multiprocessing.parent_process()
    if supervisor is None:
        return
    # Not by waiting for it: workers that began later hold what would tell, so that each would wait for the next to end.
    while os.getppid() == supervisor.pid:  # no more, also where it died before this worker was ready
        time.sleep(1.0)
    os.kill(os.getpid(), signal.SIGTERM)


def _require_port(host: str, port: int) -> None:
    """Before anything else is begun: uvicorn would notice only after the relay has connected."""
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        raise SettingsError(
            f"Cannot listen on {host}:{port} ({error.strerror}): end what listens there, or take another port "
            "(--port N, or PORT=N make run)."
        ) from error


def server_options() -> dict[str, Any]:
    """What uvicorn is told besides host and port."""
    return {
        "log_config": None,
        "access_log": False,
        "timeout_graceful_shutdown": SHUTDOWN_SECONDS,
        "timeout_keep_alive": KEEP_ALIVE_SECONDS,
    }


def _listen(loaded: Settings, host: str, port: int) -> int:
    app = wiring.create_app(loaded)
    config = uvicorn.Config(app, host=host, port=port, **server_options())
    server = uvicorn.Server(config)
    # uvicorn ends in good order and then raises the signal again; to be told to end is no failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server.run()
    return 0 if server.started else 1


def relay(arguments: argparse.Namespace) -> int:
    """Send messages until told to end."""
    loaded = settings.load()
    logging.configure()
    if loaded.broker.is_embedded:
        raise SettingsError("EM_BROKER__URL is not set: a relay on its own needs a broker.")
    database = Database(loaded, pool_size=1)
    wiring.check(loaded, database, host="localhost", workers=1)
    database.dispose()
    background, close = wiring.create_relay(loaded)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    background.start()
    ended.wait()
    background.stop()
    close()
    return 0


def demo(arguments: argparse.Namespace) -> int:
    """A service with demo data and a simulated Zocalo and RELION."""
    var: Path = arguments.var.resolve()
    _require_port(arguments.host, arguments.port)
    _require_writable(var)
    # The settings of the environment stay out of it, for a demo must never meet a real ISPyB or a real broker; but who
    # may use it can be tried.
    loaded = settings.load(
        {name: value for name, value in os.environ.items() if name.upper().startswith("EM_AUTH__")}
        | {
            "EM_DATABASE__URL": f"sqlite:///{var}/em.sqlite",
            "EM_BROKER__URL": f"embedded://{var}/spool",
            "EM_VISIT_DIRECTORY": f"{var}/dls/{{beamline}}/data/{{year}}/{{visit}}",
        }
    )
    from app import migrating  # what 'serve' has no use for is loaded where it is used: a start waits for all else

    logging.configure()
    database = Database(loaded, pool_size=2)
    migrating.upgrade(database)
    with database.read() as session:
        ready = sandbox.is_sandbox(session)
    if not ready:
        sandbox.create(database, loaded)
    database.dispose()
    wiring.check(loaded, database, host=arguments.host, workers=1)
    sys.stderr.write(f"synchweb-em demo: http://{arguments.host}:{arguments.port}/api/em/v1, files below {var}\n")
    if "synchweb" in loaded.auth.modes:
        sys.stderr.write(WHO)
    return _listen(loaded, arguments.host, arguments.port)


def _require_writable(var: Path) -> None:
    try:
        for folder in (var, var / "dls", var / "spool"):
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        if (database := var / "em.sqlite").exists():
            database.open("r+b").close()
    except OSError as error:
        raise SettingsError(
            f"Cannot write below {var} ({error.strerror}): give a folder of your own with VAR=… make run, or --var."
        ) from error


def check(arguments: argparse.Namespace) -> int:
    """Check all that the service depends on."""
    from app import doctor

    loaded = settings.load()
    logging.configure("CRITICAL")  # what goes wrong is in the lines
    return doctor.run(loaded, sys.stdout)


def sandbox_create(arguments: argparse.Namespace) -> int:
    """ISPyB's tables and demo rows on an empty database."""
    loaded = settings.load()
    if loaded.visit_directory == Settings().visit_directory:
        raise SettingsError(
            "EM_VISIT_DIRECTORY is not set: the demo's movies would be written where real visits are. Set it to a "
            "folder of your own, such as /tmp/dls/{beamline}/data/{year}/{visit}."
        )
    database = Database(loaded, pool_size=2)
    sandbox.create(database, loaded)
    below = ", ".join(map(str, loaded.roots))
    sys.stdout.write(
        f"ISPyB's tables and the demo rows are there, and the demo's movies below {below}. "
        "Next: 'synchweb-em migrate', then 'synchweb-em serve'.\n"
    )
    return 0


def migrate(arguments: argparse.Namespace) -> int:
    """Create or update our own tables."""
    from app import migrating

    revision = migrating.upgrade(Database(settings.load(), pool_size=2))
    sys.stdout.write(f"Our tables are at revision {revision}.\n")
    return 0


def token(arguments: argparse.Namespace) -> int:
    """Print a token for somebody."""
    key = settings.load().auth.jwt_key
    if key is None:
        raise SettingsError("EM_AUTH__JWT_KEY is not set: a token is signed with SynchWeb's $jwt_key.")
    sys.stdout.write(tokens.issue(arguments.login, key, seconds=arguments.hours * 3600) + "\n")
    return 0


def config(arguments: argparse.Namespace) -> int:
    """Print the settings in force."""
    for name, value, description in settings.describe(settings.load()):
        sys.stdout.write(f"{name}={value}  # {description}\n")
    return 0


def openapi(arguments: argparse.Namespace) -> int:
    """Print the API's document."""
    json.dump(wiring.create_app(Settings()).openapi(), sys.stdout, indent=1, ensure_ascii=False, sort_keys=True)
    sys.stdout.write("\n")
    return 0
