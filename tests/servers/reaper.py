"""Ends servers and removes their data even when the test run dies by `kill -9`.

Run as a program this file is the helper that `Reaper` starts; therefore it imports nothing but Python's own library.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

GRACE = 2.0  # seconds between TERM and KILL; nothing of what is ended here has to be kept
POLL_INTERVAL = 0.02  # seconds


class Reaper:
    """Ends the servers and removes their folder when this process ends, in whatever way it does.

    A helper process holds the read end of a pipe. When this process dies the kernel closes the write end, and the
    helper kills every process group it was told about. `close()` is the same thing done on purpose.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="synchweb-em-"))
        # Servers that give up root must be able to reach their own folders in here.
        self.folder.chmod(0o755)
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()
        # Isolated, so that neither this folder nor the environment can replace a standard module.
        self._helper = subprocess.Popen(
            [sys.executable, "-I", __file__, str(self.folder)],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    def new_folder(self, name: str) -> Path:
        """A folder for one server, gone with all others at the end."""
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
        folder.chmod(0o755)
        return folder

    def watch(self, process: subprocess.Popen[bytes]) -> None:
        """End this process, leader of its group, and its group if they still run at the end."""
        self._processes[process.pid] = process
        self._tell(f"+{process.pid}\n")

    def forget(self, process: subprocess.Popen[bytes]) -> None:
        """This process has ended and its number may belong to another one soon."""
        self._tell(f"-{process.pid}\n")
        self._processes.pop(process.pid, None)

    def close(self) -> None:
        """End what still runs and remove the folder."""
        if self._helper.stdin is not None and not self._helper.stdin.closed:
            self._helper.stdin.close()
        self._helper.wait(timeout=60)
        for process in self._processes.values():
            process.wait(timeout=10)
        self._processes.clear()

    def _tell(self, line: str) -> None:
        with self._lock:
            assert self._helper.stdin is not None
            self._helper.stdin.write(line.encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def living_groups() -> set[int]:
    """All process groups with a process that still runs; zombies do not, and may stay if nobody collects them."""
    groups = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The program's name comes first, in parentheses, and may itself contain anything.
            state, _parent, group = status.read_text(errors="replace").rpartition(")")[2].split()[:3]
            if state not in "ZX":
                groups.add(int(group))
    return groups


def _reap(folder: Path) -> None:
    """The helper's whole life: listen until the pipe closes, then leave nothing behind."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    for number in (signal.SIGTERM, signal.SIGKILL):
        for group in groups & living_groups():
            with suppress(ProcessLookupError):
                os.killpg(group, number)
                os.killpg(group, signal.SIGCONT)  # a frozen process would not notice TERM
        deadline = time.monotonic() + GRACE
        while groups & living_groups() and time.monotonic() < deadline:
            time.sleep(POLL_INTERVAL)
    deadline = time.monotonic() + GRACE
    # Children that left their group end when their parent is gone, and may write a last file.
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(POLL_INTERVAL)


if __name__ == "__main__":
    _reap(Path(sys.argv[1]))
