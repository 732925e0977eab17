"""A private MariaDB server."""

import os
import subprocess
from contextlib import closing
from typing import Any

import pymysql

from tests.servers.packages import get_program
from tests.servers.processes import ServerError, ServerProcess, free_port
from tests.servers.reaper import Reaper

START_TIMEOUT = 60.0  # seconds
STOP_TIMEOUT = 30.0  # seconds
INSTALL_TIMEOUT = 120.0  # seconds
TIME_ZONE = "Europe/London"

OPTIONS = (
    # ISPyB's tables are latin1, with a collation that ignores case.
    "--character-set-server=latin1",
    "--collation-server=latin1_swedish_ci",
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    "--max-connections=400",
    # Small and quick to create; durability and locking stay as MariaDB has them, since tests kill this server.
    "--innodb-buffer-pool-size=64M",
    "--innodb-log-file-size=32M",
)


class MariaDB:
    """A MariaDB server with an empty data folder of its own; `root` has no password."""

    def __init__(self, reaper: Reaper) -> None:
        self.port = free_port()
        self._folder = reaper.new_folder("mariadb")
        self._data = self._folder / "data"
        self._process = ServerProcess("mariadb", reaper, self._folder)
        # As root the server would refuse to run, so it becomes the user that came with the package.
        self._user = ["--user=mysql"] if os.geteuid() == 0 else []

    @property
    def running(self) -> bool:
        return self._process.running

    @property
    def pid(self) -> int:
        return self._process.pid

    def url(self, database: str = "") -> str:
        """The address for SQLAlchemy."""
        return f"mysql+pymysql://root@127.0.0.1:{self.port}/{database}?charset=utf8mb4"

    def start(self) -> None:
        if self.running:
            return
        if not self._data.exists():
            self._install()
        self._process.start(
            [
                get_program("mariadbd"),
                "--no-defaults",
                *self._user,
                *OPTIONS,
                f"--port={self.port}",
                f"--datadir={self._data}",
                f"--tmpdir={self._folder / 'tmp'}",
                # Relative to the data folder: the full path can be longer than a socket's may be.
                "--socket=socket",
                "--pid-file=pid",
            ],
            # ISPyB's server keeps the facility's local time.
            {**os.environ, "TZ": TIME_ZONE},
        )
        self._process.wait_until(self._answers, START_TIMEOUT, "answer a query")

    def stop(self) -> None:
        self._process.terminate(STOP_TIMEOUT)

    def kill(self) -> None:
        """End the server as a power failure would."""
        self._process.kill()

    def restart(self) -> None:
        """Start again on the same port and data, whether it was stopped, killed or still runs."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        self._process.freeze()

    def thaw(self) -> None:
        self._process.thaw()

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one statement as administrator, commit it, and return its rows."""
        connection = pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user="root",
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=5,
            read_timeout=60,
        )
        with closing(connection), connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def _answers(self) -> bool:
        try:
            return self.execute("SELECT 1") == [(1,)]
        except pymysql.OperationalError:
            return False

    def _install(self) -> None:
        """Create the data folder."""
        temporary = self._folder / "tmp"
        temporary.mkdir()
        temporary.chmod(0o1777)
        command = [
            get_program("mariadb-install-db"),
            "--no-defaults",
            *self._user,
            f"--datadir={self._data}",
            f"--tmpdir={temporary}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ]
        finished = subprocess.run(
            command,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=INSTALL_TIMEOUT,
            check=False,
        )
        if finished.returncode != 0:
            raise ServerError(f"mariadb-install-db ended with exit code {finished.returncode}:\n{finished.stdout}")
