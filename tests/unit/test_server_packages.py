"""Installing the servers' packages, on a pretended machine."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.servers import packages
from tests.servers.packages import Package, PackageError, ensure_packages

TOOL = Package("tool-server", ("toold",))

# Notes how it was called and what a service's start would have been told, then installs by making a file.
APT_GET = """#!/bin/sh
echo "$DEBIAN_FRONTEND: $*" >> {folder}/calls
/bin/sleep 0.2
[ "$1" = install ] || exit 0
{folder}/policy-rc.d toold start
echo "policy: $?" >> {folder}/calls
{install}
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which nothing is installed but apt-get, and we are root."""
    (tmp_path / "bin").mkdir()
    put_apt_get(tmp_path, "echo > {folder}/bin/toold; /bin/chmod +x {folder}/bin/toold")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(packages, "SYSTEM_FOLDERS", ())
    monkeypatch.setattr(packages, "LOCK", tmp_path / "lock")
    monkeypatch.setattr(packages, "POLICY", tmp_path / "policy-rc.d")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return tmp_path


def put_apt_get(folder: Path, install: str) -> None:
    put_program(folder / "bin" / "apt-get", APT_GET.replace("{install}", install).replace("{folder}", str(folder)))


def put_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def calls(machine: Path) -> list[str]:
    return (machine / "calls").read_text().splitlines()


def test_missing_packages_are_installed_without_starting_services(machine: Path) -> None:
    ensure_packages([TOOL])

    assert calls(machine) == [
        "noninteractive: update",
        "noninteractive: install -y --no-install-recommends tool-server",
        "policy: 101",
    ]
    assert not (machine / "policy-rc.d").exists()


def test_nothing_is_done_when_all_is_installed(machine: Path) -> None:
    put_program(machine / "bin" / "toold", "")

    ensure_packages([TOOL])

    assert not (machine / "calls").exists()


def test_the_policy_is_removed_when_the_installation_fails(machine: Path) -> None:
    put_apt_get(machine, "echo unable to locate package; exit 100")

    with pytest.raises(PackageError, match=r"(?s)tool-server .installing them failed.*unable to locate.*code 100"):
        ensure_packages([TOOL])

    assert not (machine / "policy-rc.d").exists()


def test_a_policy_that_denies_is_left_alone(machine: Path) -> None:
    put_program(machine / "policy-rc.d", "#!/bin/sh\n# the machine's own\nexit 101\n")

    ensure_packages([TOOL])

    assert "policy: 101" in calls(machine)
    assert "the machine's own" in (machine / "policy-rc.d").read_text()


@pytest.mark.parametrize("install", ["echo > {folder}/bin/toold; /bin/chmod +x {folder}/bin/toold", "exit 100"])
def test_a_policy_that_allows_is_replaced_and_restored(machine: Path, install: str) -> None:
    put_program(machine / "policy-rc.d", "#!/bin/sh\n# the machine's own\nexit 0\n")
    put_apt_get(machine, install)

    if install == "exit 100":
        with pytest.raises(PackageError):
            ensure_packages([TOOL])
    else:
        ensure_packages([TOOL])

    assert "policy: 101" in calls(machine)
    assert (machine / "policy-rc.d").read_text() == "#!/bin/sh\n# the machine's own\nexit 0\n"
    assert os.access(machine / "policy-rc.d", os.X_OK)


def test_what_a_killed_installation_left_is_put_right(machine: Path) -> None:
    put_program(machine / "policy-rc.d", packages.DENY)
    put_program(machine / "policy-rc.d.before-synchweb-em", "#!/bin/sh\nexit 0\n")

    ensure_packages([TOOL])

    assert (machine / "policy-rc.d").read_text() == "#!/bin/sh\nexit 0\n"
    assert not (machine / "policy-rc.d.before-synchweb-em").exists()


def test_of_two_runs_one_installs(machine: Path) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(ensure_packages, [[TOOL], [TOOL]]))

    assert calls(machine).count("noninteractive: update") == 1


def test_who_is_not_root_is_told_what_to_install(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(PackageError, match=r"apt-get install -y --no-install-recommends tool-server$"):
        ensure_packages([TOOL])

    assert not (machine / "calls").exists()
