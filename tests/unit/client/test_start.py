"""The button: what it would say, and pressing it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.client.conftest import Run
from tests.unit.client.played import (
    DROPPED,
    RESULTS,
    Answer,
    PlayedService,
    check,
    jobs_block,
    launched,
    parameters,
    problem,
)

Captured = pytest.CaptureFixture[str]
MOVIES = ("cm28212-1", "raw", "--software", "SerialEM", "--suffix", "tiff")
LAUNCH = "POST /visits/cm28212-1/launch"
BUSY = problem(503, "database-unavailable", "The database does not answer; try again.")


def test_check_says_what_the_button_would_say(run: Run, service: PlayedService, capsys: Captured) -> None:
    query = "imageDirectory=raw&acquisitionSoftware=SerialEM&imageSuffix=tiff"
    service.plays(f"GET /visits/cm28212-1/launch-check?{query}", check(dataCollectionId=None))

    code = run("check", *MOVIES)

    assert code == 0
    assert capsys.readouterr().out.splitlines() == [
        "start       Nothing is waiting or running for these movies.",
        "collection  none yet; a start creates it",
        "movies      are there",
    ]


def test_check_names_what_blocks_and_how_to_replace_it(run: Run, service: PlayedService, capsys: Captured) -> None:
    warning = {"code": "gain-reference-missing", "message": "There is no gain.mrc."}
    service.plays("GET /data-collections/18/launch-check", check(5, filesExist=None, warnings=[warning]))

    code = run("check", "--dcid", "18")

    assert code == 0
    assert capsys.readouterr().out.splitlines() == [
        "stop-and-restart Some jobs run.",
        "collection  18",
        "movies      not known",
        "blocked by  job 5, running since 2021-02-25 12:00:00+00:00",
        "WARNING     There is no gain.mrc.",
        "",
        "Next: synchweb-em restart 5",
    ]


def test_start_sends_movies_and_typed_parameters(run: Run, service: PlayedService) -> None:
    service.plays(LAUNCH, launched())
    settings = (
        "pixelSize=0.885",
        "voltage=200",
        "doClass3D=false",
        "gainReferenceFile=gain.mrc",
        "boxSize=null",
        "a=1e999",
    )

    code = run("start", *MOVIES, *(word for setting in settings for word in ("-p", setting)))

    assert code == 0
    assert service.bodies() == [
        {
            "movies": {"imageDirectory": "raw", "acquisitionSoftware": "SerialEM", "imageSuffix": "tiff"},
            "parameters": {
                "pixelSize": 0.885,
                "voltage": 200,
                "doClass3D": False,
                "gainReferenceFile": "gain.mrc",
                "a": "1e999",
            },
            "ifBlocked": "refuse",
            "replaces": [],
        }
    ]
    assert len(service.keys()) == 1


def test_start_with_a_template(run: Run, service: PlayedService) -> None:
    service.plays(LAUNCH, launched())

    code = run("start", "cm28212-1", "raw", "--template", "Frames/*.tiff")

    assert code == 0
    assert service.bodies()[0]["movies"] == {"imageDirectory": "raw", "fileTemplate": "Frames/*.tiff"}


def test_start_tells_what_was_started_and_what_to_type_next(run: Run, service: PlayedService, capsys: Captured) -> None:
    warning = {"code": "gain-reference-missing", "message": "There is no gain.mrc."}
    service.plays("POST /data-collections/18/launch", launched(6, dataCollectionCreated=True, warnings=[warning]))

    code = run("start", "--dcid", "18")

    assert code == 0
    assert capsys.readouterr().out.splitlines() == [
        "Job 6 was accepted.",
        "collection  18 (new)",
        f"results     {RESULTS}",
        "WARNING     There is no gain.mrc.",
        "",
        "Next: synchweb-em wait 6",
    ]


def test_the_next_command_finds_the_same_service(run_bare: Run, service: PlayedService, capsys: Captured) -> None:
    service.plays("POST /data-collections/18/launch", launched(6))

    run_bare("start", "--dcid", "18", "--url", f"{service.url}/api/em/v1/")

    assert f"Next: synchweb-em wait 6 --url {service.url}\n" in capsys.readouterr().out


@pytest.mark.parametrize("content", [parameters(5), parameters(5)["parameters"]])
def test_start_takes_the_parameters_of_a_file_and_changes_them(
    run: Run, service: PlayedService, tmp_path: Path, content: dict[str, Any]
) -> None:
    service.plays("POST /data-collections/18/launch", launched())
    file = tmp_path / "parameters.json"
    file.write_text(json.dumps(content))

    code = run("start", "--dcid", "18", "--parameters", str(file), "-p", "doClass3D=false", "-p", "maskDiameter=null")

    assert code == 0
    assert service.bodies()[0]["parameters"] == {"pixelSize": 0.885, "maximumDiameter": 180, "doClass3D": False}


@pytest.mark.parametrize(
    "trouble", [DROPPED, BUSY, Answer(504, "<html>"), problem(409, "same-request-in-progress", "Still being written.")]
)
def test_a_start_without_answer_is_sent_again_with_the_same_key(
    run: Run, service: PlayedService, capsys: Captured, trouble: Answer
) -> None:
    service.plays(LAUNCH, trouble, trouble, launched())

    code = run("start", *MOVIES)

    assert code == 0
    assert len(service.keys()) == 3
    assert len(set(service.keys())) == 1
    assert "Trying again in 0 s; this cannot launch twice." in capsys.readouterr().err


def test_two_starts_have_two_keys(run: Run, service: PlayedService) -> None:
    service.plays(LAUNCH, launched())

    run("start", *MOVIES)
    run("start", *MOVIES)

    assert len(set(service.keys())) == 2


@pytest.mark.parametrize("trouble", [DROPPED, problem(500, "internal-error", "It failed.")])
def test_a_start_that_stays_without_answer_says_how_to_go_on(
    run: Run, service: PlayedService, capsys: Captured, trouble: Answer
) -> None:
    service.plays(LAUNCH, trouble)

    code = run("start", *MOVIES, "--key", "my-key")

    assert code == 3
    assert set(service.keys()) == {"my-key"}
    assert capsys.readouterr().err.endswith(
        "It is not known whether RELION was started. To find out and start it if not, type the same command again "
        "with --key my-key\n"
    )


def test_a_start_that_reached_nobody_leaves_no_doubt(run_bare: Run, capsys: Captured) -> None:
    code = run_bare("start", *MOVIES, "--url", "http://127.0.0.1:1")

    assert code == 3
    assert "not known" not in capsys.readouterr().err


def test_a_start_that_may_have_reached_somebody_leaves_doubt_whatever_comes_after(
    run: Run, service: PlayedService, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.plays(LAUNCH, DROPPED)
    monkeypatch.setattr("app.client.http.time.sleep", lambda seconds: service.close())

    code = run("start", *MOVIES)

    assert code == 3
    error = capsys.readouterr().err
    assert "(connection refused)" in error
    assert "It is not known whether RELION was started." in error


def test_a_start_that_is_interrupted_says_how_to_go_on(
    run: Run, service: PlayedService, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    service.plays(LAUNCH, BUSY)
    monkeypatch.setattr("app.client.http.time.sleep", interrupt)

    code = run("start", *MOVIES)

    assert code == 3
    assert "Interrupted.\nIt is not known whether RELION was started. To find out" in capsys.readouterr().err


def test_a_refused_start_names_the_fields_and_is_not_sent_again(
    run: Run, service: PlayedService, capsys: Captured
) -> None:
    errors = [{"field": "parameters.pixlSize", "message": "is not known; check its spelling"}]
    service.plays(LAUNCH, problem(422, "request-invalid", "The request is not valid.", errors=errors))

    code = run("start", *MOVIES, "-p", "pixlSize=1")

    assert code == 1
    assert len(service.asked) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == ("The request is not valid.\n  parameters.pixlSize: is not known; check its spelling\n")


def test_a_refusal_as_json_is_the_problem(run: Run, service: PlayedService, capsys: Captured) -> None:
    refusal = jobs_block(5)
    service.plays(LAUNCH, refusal)

    code = run("start", *MOVIES, "--json")

    assert code == 1
    assert json.loads(capsys.readouterr().out) == refusal.body


def test_a_start_that_is_blocked_says_how_to_restart(run: Run, service: PlayedService, capsys: Captured) -> None:
    service.plays(LAUNCH, jobs_block(5))

    code = run("start", *MOVIES)

    assert code == 1
    assert capsys.readouterr().err.splitlines() == [
        "Job 5 is already running on data collection 18 (since 12:00).",
        "  ifBlocked: is 'refuse', and there are jobs that block",
        "To stop it and start again with its parameters (change them with -p):",
        "  synchweb-em restart 5",
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("start",),
        ("start", "cm28212-1", "--template", "*.tiff"),
        ("start", "cm28212-1", "raw"),
        ("start", "cm28212-1", "raw", "--software", "EPU"),
        ("start", "cm28212-1", "raw", "--software", "EPU", "--suffix", "tiff", "--template", "*.tiff"),
        ("start", "cm28212-1", "--dcid", "18"),
        ("check", "--dcid", "18", "--suffix", "tiff"),
        ("start", "--dcid", "0"),
        ("start", "--dcid", "18", "-p", "pixelSize"),
        ("start", "--dcid", "18", "-p", "=1"),
        ("start", "--dcid", "18", "--key", "two words"),
        ("start", "--dcid", "18", "--parameters", "/does/not/exist"),
        ("start", "--dcid", "18", "--parameters", __file__),
        ("check", "", "raw", "--template", "*.tiff"),
        ("check", "\udcff", "raw", "--template", "*.tiff"),
    ],
)
def test_what_cannot_be_asked_is_a_usage_error(run: Run, service: PlayedService, words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(*words)

    assert caught.value.code == 64
    assert service.asked == []


@pytest.mark.parametrize("content", ["[1]", '{"pixelSize": NaN}', "not JSON", "\ud800"])
def test_a_file_that_holds_no_parameters_is_a_usage_error(run: Run, tmp_path: Path, content: str) -> None:
    file = tmp_path / "parameters.json"
    file.write_bytes(content.encode("utf-8", "surrogatepass"))

    with pytest.raises(SystemExit) as caught:
        run("start", "--dcid", "18", "--parameters", str(file))

    assert caught.value.code == 64
