"""Makes sure that the Debian packages with the servers are installed, without starting any service."""

import fcntl
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# Ordinary users often have no sbin folder in their PATH, though they may run what is in there.
SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")

# Only root installs, so the lock may lie where only root can write.
LOCK = Path("/run/synchweb-em-tests.lock")

# Debian's packages start their service as soon as they are installed, unless this program says 101.
POLICY = Path("/usr/sbin/policy-rc.d")
DENY = "#!/bin/sh\n# Put here by synchweb-em's tests while they install packages; safe to delete.\nexit 101\n"

APT_TIMEOUT = 1200.0  # seconds; a slow mirror is no failure, a hung one is


class PackageError(RuntimeError):
    """The servers that the tests need are not installed, and could not be installed here."""


@dataclass(frozen=True)
class Package:
    """A Debian package, and what shows that it is installed: programs by name, other files by absolute path."""

    name: str
    provides: tuple[str, ...]

    @property
    def installed(self) -> bool:
        return all(find_program(program) is not None for program in self.provides)


MARIADB = Package("mariadb-server", ("mariadbd", "mariadb-install-db"))
RABBITMQ = Package("rabbitmq-server", ("/usr/lib/rabbitmq/bin/rabbitmq-server", "epmd"))
NGINX = Package("nginx", ("nginx",))
APACHE = Package("apache2-bin", ("apache2",))  # the server alone: nothing is configured, and no service comes with it
ACTIVEMQ = Package("activemq", ("/usr/share/activemq/bin/activemq.jar", "java"))
WRK = Package("wrk", ("wrk",))
SERVERS = (MARIADB, RABBITMQ)
PROXIES = (NGINX, APACHE)  # only the tests of deploy/proxy need them
OTHER_BROKERS = (ACTIVEMQ,)  # only tests/system/test_brokers.py needs it
LOAD = (WRK,)  # for the bench, and the tests of how it asks
EVERYTHING = SERVERS + PROXIES + OTHER_BROKERS + LOAD


def find_program(name: str) -> str | None:
    """The absolute path of a program, or of any file given by its absolute path."""
    if os.path.isabs(name):
        return name if os.path.exists(name) else None
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM_FOLDERS)))


def get_program(name: str) -> str:
    """As `find_program`, for programs that cannot be done without."""
    if path := find_program(name):
        return path
    raise PackageError(f"{name} is not installed; `python -m tests.servers --install-only` installs the servers")


def ensure_packages(packages: Sequence[Package] = SERVERS) -> None:
    """Install those of `packages` that are missing; needs root only if there are any."""
    if not _missing(packages):
        return
    if os.geteuid() != 0:
        raise PackageError(_advice(packages, "only root can install them"))
    if find_program("apt-get") is None:
        raise PackageError(_advice(packages, "there is no apt-get here to install them with"))
    with _only_one_run():
        # Another test run may have installed them while this one waited.
        if missing := _missing(packages):
            with _services_denied(missing):
                output = _apt_install(missing)
            if _missing(missing):
                raise PackageError(f"{_advice(missing, 'installing them failed')}\n{output}")


def _missing(packages: Sequence[Package]) -> list[Package]:
    return [package for package in packages if not package.installed]


def _advice(packages: Sequence[Package], reason: str) -> str:
    names = " ".join(package.name for package in _missing(packages))
    return (
        f"The tests need these Debian packages, which are not installed: {names} ({reason}).\n"
        f"Install them as root: apt-get update && apt-get install -y --no-install-recommends {names}"
    )


def _apt_install(packages: Sequence[Package]) -> str:
    """Run apt-get; its output is returned for the error message, whether the packages are there is for the caller."""
    names = [package.name for package in packages]
    # `update` fails when any one source is broken, even one that has nothing of ours: the outcome of `install` counts.
    commands = (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", *names])
    output = ""
    for command in commands:
        finished = subprocess.run(
            command,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=APT_TIMEOUT,
            check=False,
        )
        output += f"$ {' '.join(command)}\n{finished.stdout[-4000:]}(exit code {finished.returncode})\n"
    return output


@contextmanager
def _only_one_run() -> Iterator[None]:
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _services_denied(packages: Sequence[Package]) -> Iterator[None]:
    """Keep Debian's packages from starting their services, and leave the machine's own policy as it was."""
    saved = POLICY.with_name(f"{POLICY.name}.before-synchweb-em")
    # Our own text is what a killed run left behind: it counts as no policy, so that it goes away this time.
    if POLICY.exists() and POLICY.read_text(errors="replace") != DENY:
        if _denies(packages):
            yield
            return
        POLICY.rename(saved)
    try:
        POLICY.write_text(DENY)
        POLICY.chmod(stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)
        yield
    finally:
        if saved.exists():
            saved.rename(POLICY)
        else:
            POLICY.unlink(missing_ok=True)


def _denies(packages: Sequence[Package]) -> bool:
    """Whether the policy in force forbids starting every one of the packages' services."""
    for package in packages:
        command = [str(POLICY), package.name, "start"]
        try:
            finished = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired):
            # A policy that cannot be asked forbids nothing.
            return False
        if finished.returncode != 101:
            return False
    return True
