"""Every way in which there is no good answer."""

from __future__ import annotations

import socket

import pytest

from app.client import http
from app.client.http import Api, NoAnswer, Refused
from tests.unit.client.played import DROPPED, SILENT, Answer, PlayedService, job, problem


def fails(service: PlayedService, *answers: Answer) -> NoAnswer:
    """How the client sees these answers."""
    service.plays("GET /processing-jobs/5", *answers)
    with Api(service.url) as api, pytest.raises(NoAnswer) as caught:
        api.get("/processing-jobs/5", seconds=0.05)
    return caught.value


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def test_a_service_that_is_not_there_is_told_with_what_to_do() -> None:
    url = f"http://127.0.0.1:{free_port()}"

    with Api(url) as api, pytest.raises(NoAnswer) as caught:
        api.get("/processing-jobs/5")

    assert caught.value.sentence == (
        f"Cannot reach {url} (connection refused). Is the service running? "
        'Ask the facility\'s staff to start it (the demo: "make run"), or give its address with --url.'
    )
    assert not caught.value.reached


def test_a_service_elsewhere_is_not_started_with_make() -> None:
    with Api("http://127.0.0.2:1") as api, pytest.raises(NoAnswer, match="Ask the facility's staff"):
        api.get("/processing-jobs/5")


def test_a_dropped_connection_may_have_reached_the_service(service: PlayedService) -> None:
    failure = fails(service, DROPPED)

    assert failure.sentence.startswith(f"The connection to {service.url} was lost before the answer came")
    assert failure.reached
    assert failure.again


def test_a_service_that_says_nothing_is_left_in_time(service: PlayedService) -> None:
    failure = fails(service, SILENT)

    assert failure.sentence.startswith(f"{service.url} did not answer in time.")


def test_a_secure_connection_that_fails_is_told_apart(service: PlayedService) -> None:
    with Api(service.url.replace("http:", "https:")) as api, pytest.raises(NoAnswer, match="No secure connection"):
        api.get("/processing-jobs/5")


def test_an_overloaded_service_is_quoted_and_may_be_asked_again(service: PlayedService) -> None:
    failure = fails(service, problem(503, "database-unavailable", "The database does not answer; try again."))

    assert (
        failure.sentence == f"{service.url} answered 503 Service Unavailable: The database does not answer; try again."
    )
    assert failure.again


def test_a_service_that_broke_is_not_asked_again_and_its_request_id_is_shown(service: PlayedService) -> None:
    broken = problem(500, "internal-error", "It failed.")
    failure = fails(service, broken._replace(headers={"X-Request-ID": "abc"}))

    assert failure.sentence == f"{service.url} answered 500 Internal Server Error: It failed. (X-Request-ID abc)"
    assert not failure.again


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer(502, "<html>"), "answered 502 Bad Gateway: Try again soon, or tell the facility's staff."),
        (Answer(200, "<html>"), "answered 200 OK, but not as this service does. Is that its address?"),
        (Answer(200, [1]), "answered 200 OK, but not as this service does."),
        (Answer(404, "not found"), "answered 404 Not Found, but not as this service does."),
        (Answer(400, {"status": 400, "message": "SynchWeb's"}), "answered 400 Bad Request, but not as this service"),
        (Answer(401, "<html>"), "answered 401 Unauthorized. Something before the service wants to know who you are"),
        (Answer(302, "", {"Location": "https://login/"}), "answered 302 Found, to https://login/. Give the service's"),
    ],
)
def test_somebody_else_who_answers_is_not_taken_for_the_service(
    service: PlayedService, answer: Answer, sentence: str
) -> None:
    failure = fails(service, answer)

    assert f"{service.url} {sentence}" in failure.sentence


def test_a_refusal_carries_the_whole_problem(service: PlayedService) -> None:
    service.plays("GET /processing-jobs/5", problem(404, "job-not-found", "There is no job 5.", processingJobId=5))

    with Api(service.url) as api, pytest.raises(Refused, match=r"There is no job 5\.") as caught:
        api.get("/processing-jobs/5")

    assert caught.value.problem is not None
    assert caught.value.problem["processingJobId"] == 5


def test_the_token_is_sent(service: PlayedService) -> None:
    service.plays("GET /processing-jobs/5", job())

    with Api(service.url, "a-token") as api:
        api.get("/processing-jobs/5")

    assert service.asked[0].headers["Authorization"] == "Bearer a-token"


def test_a_proxy_is_not_asked_for_this_machine(service: PlayedService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    service.plays("GET /processing-jobs/5", job())

    with Api(service.url) as api:
        answer = api.get("/processing-jobs/5")

    assert answer["processingJobId"] == 5


def test_all_pages_are_followed(service: PlayedService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PAGE_SIZE", 2)
    for page, items in ((1, [1, 2]), (2, [3])):
        service.plays(f"GET /list?limit=2&page={page}", {"total": 3, "items": items})

    with Api(service.url) as api:
        answer = api.get_all("/list")

    assert answer == {"total": 3, "items": [1, 2, 3]}
