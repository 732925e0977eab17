"""Starting again, in the place of a job and of no other."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.client.conftest import Run
from tests.unit.client.played import DROPPED, PlayedService, check, job, jobs_block, launched, parameters

Captured = pytest.CaptureFixture[str]
LAUNCH = "POST /data-collections/18/launch"


def plays_restart(service: PlayedService, *blocking: int, stored: dict[str, Any] | None = None) -> None:
    """What a restart of job 5 asks before it launches."""
    service.plays("GET /processing-jobs/5", job(5))
    service.plays("GET /processing-jobs/5/parameters", stored or parameters(5))
    service.plays("GET /data-collections/18/launch-check", check(*blocking))


def test_restart_replaces_the_job_if_it_blocks(run: Run, service: PlayedService, capsys: Captured) -> None:
    plays_restart(service, 5)
    service.plays(LAUNCH, launched(6, stoppedJobs=[5]))

    code = run("restart", "5")

    assert code == 0
    assert service.bodies() == [{"parameters": parameters()["parameters"], "ifBlocked": "restart", "replaces": [5]}]
    assert "stopping    job 5, in whose place it runs\n" in capsys.readouterr().out


def test_restart_replaces_nothing_if_the_job_has_ended(run: Run, service: PlayedService) -> None:
    plays_restart(service)
    service.plays(LAUNCH, launched(6))

    code = run("restart", "5", "-p", "doClass3D=false")

    assert code == 0
    assert service.bodies()[0]["replaces"] == []
    assert service.bodies()[0]["parameters"]["doClass3D"] is False


def test_restart_never_stops_another_job_and_says_which_blocks(
    run: Run, service: PlayedService, capsys: Captured
) -> None:
    plays_restart(service, 5, 7)
    service.plays(LAUNCH, jobs_block(5, 7))

    code = run("restart", "5")

    assert code == 1
    assert service.bodies()[0]["replaces"] == [5]
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "To stop what blocks, and then try again:",
        "  synchweb-em stop 7; synchweb-em wait 7",
    ]


def test_restart_tells_which_sizes_stay_although_they_followed_from_what_changes(
    run: Run, service: PlayedService, capsys: Captured
) -> None:
    plays_restart(service)
    service.plays(LAUNCH, launched(6))

    run("restart", "5", "-p", "maximumDiameter=200")

    assert service.bodies()[0]["parameters"]["maskDiameter"] == 198
    assert capsys.readouterr().err == (
        "Note: kept as they were: maskDiameter=198. To have them computed again, add -p maskDiameter=null\n"
    )


def test_restart_tells_what_it_cannot_send_again(run: Run, service: PlayedService, capsys: Captured) -> None:
    plays_restart(service, stored=parameters(5, other={"old_key": "1"}))
    service.plays(LAUNCH, launched(6))

    run("restart", "5")

    assert capsys.readouterr().err == "Note: not sent, since the service does not know them: old_key=1\n"


def test_restart_without_answer_says_where_to_look(run: Run, service: PlayedService, capsys: Captured) -> None:
    plays_restart(service, 5)
    service.plays(LAUNCH, DROPPED)

    code = run("restart", "5")

    assert code == 3
    assert len(set(service.keys())) == 1
    assert capsys.readouterr().err.endswith("Look before you try again: synchweb-em jobs --dcid 18\n")
