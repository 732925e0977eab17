"""What the figures were measured on. Nothing in it names the machine."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from tests.servers.packages import get_program

PACKAGES = ("fastapi", "uvicorn", "uvloop", "sqlalchemy", "pymysql")
DEBIAN = ("mariadb-server", "rabbitmq-server", "nginx", "wrk")


def describe() -> dict[str, str]:
    """Processors, memory, and the versions of what takes part."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": f"{os.cpu_count()} × {_processor()}",
        "memory": f"{memory / 2**30:.0f} GB",
        "system": f"Linux {re.sub(r'[^0-9.].*', '', platform.release())}, Python {platform.python_version()}",
        "libraries": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        "servers": ", ".join(f"{name.removesuffix('-server')} {found}" for name, found in _debian(DEBIAN).items()),
    }


def _processor() -> str:
    names = re.findall(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return " ".join(names[0].split()) if names else platform.machine()


def _debian(packages: Sequence[str]) -> dict[str, str]:
    command = [get_program("dpkg-query"), "--show", "--showformat=${Package} ${Version}\n", *packages]
    finished = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    found = dict(line.split() for line in finished.stdout.splitlines() if " " in line)
    # Without what Debian adds: 1:10.11.19-0+deb12u1 is MariaDB 10.11.19.
    return {name: re.sub(r"^\d+:|-.*$", "", text) for name, text in found.items()}
