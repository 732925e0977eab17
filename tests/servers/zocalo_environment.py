"""Zocalo's published packages, in a virtual environment of their own that the tests build when they first need it.

It lies beside the project's own, is kept until the list below changes, and is never mended by hand.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / ".venv" / "zocalo"
BUILD_TIMEOUT = 240.0  # seconds for each step; on an idle machine all of them together took 35

PUBLISHED = (
    "zocalo==1.5.0",
    "workflows==3.3",
    "ispyb==12.1.1",
    # What python-relion's services and ISPyB filter import.
    "gemmi==0.7.5",
    "importlib-metadata==10.2.0",
    "marshmallow==3.26.2",
    "marshmallow-sqlalchemy==1.5.0",
    "numpy==2.4.6",
    "plotly==7.1.0",
    "pydantic==2.14.3",
    "requests==2.34.2",
    "sqlalchemy==2.1.9",
    # What the stand-in for RELION imports of this project.
    "prometheus-client==0.26.0",
    "pydantic-settings==2.16.3",
    "pymysql==1.2.4",
)
# Without what they ask for: the first pins pydantic 1, the second wants all that its own processing needs.
ALONE = ("relion==0.13.16", "cryoemservices==1.5.1")

# What Zocalo is to find of ours, as an installed package would tell it.
ENTRY_POINTS = """\
[zocalo.wrappers]
relion_stand_in = tests.zocalo.wrapper:RelionStandIn

[zocalo.services.cluster.schedulers]
stand_in = tests.zocalo.cluster:submit
"""
DISTRIBUTION = "zocalo_stand_ins"


class NotInstalled(RuntimeError):
    """Zocalo's packages cannot be installed."""


def ensure_environment() -> Path:
    """The folder of its programs; built first if there is none, or one for another list."""
    with _only_one_builder():
        if _stamp().exists() and _stamp().read_text() == _fingerprint():
            return FOLDER / "bin"
        shutil.rmtree(FOLDER, ignore_errors=True)
        _run(sys.executable, "-m", "venv", str(FOLDER))
        pip = (str(FOLDER / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--quiet")
        _run(*pip, *PUBLISHED)
        _run(*pip, "--no-deps", *ALONE)
        _write_entry_points()
        _stamp().write_text(_fingerprint())
    return FOLDER / "bin"


def environ(**more: str) -> dict[str, str]:
    """Environment variables for a program of it, to which this project can be imported too."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("EM_", "PYTEST", "COV"))}
    path = os.pathsep.join((str(FOLDER / "bin"), os.environ.get("PATH", os.defpath)))
    return inherited | {"PATH": path, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"} | more


def _fingerprint() -> str:
    parts = (sys.version, *PUBLISHED, *ALONE, ENTRY_POINTS)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _stamp() -> Path:
    return FOLDER / "built"


def _write_entry_points() -> None:
    version = f"python{sysconfig.get_python_version()}"
    folder = FOLDER / "lib" / version / "site-packages" / f"{DISTRIBUTION}-0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {DISTRIBUTION}\nVersion: 0\n")
    (folder / "entry_points.txt").write_text(ENTRY_POINTS)


def _run(*command: str) -> None:
    """Run a step; what it prints is shown only when it fails, for pip has warnings about many a machine."""
    finished = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=BUILD_TIMEOUT,
        check=False,
    )
    if finished.returncode:
        raise NotInstalled(f"{' '.join(command)} failed:\n{finished.stdout[-3000:]}")


@contextmanager
def _only_one_builder() -> Iterator[None]:
    """Several workers may want it at once; the others wait as long as a build may take."""
    deadline = time.monotonic() + 3 * BUILD_TIMEOUT
    FOLDER.parent.mkdir(exist_ok=True)
    with (FOLDER.parent / "zocalo.lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise NotInstalled("another run is building Zocalo's environment for too long") from None
                time.sleep(0.1)
        yield
