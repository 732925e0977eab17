"""Who may log in, and how: SynchWeb's tokens and its one-time tokens, on the real database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
import sqlalchemy as sa

from app.ispyb.tables import Person, SWOnceToken
from tests.support.services import ServiceThread
from tests.synchweb.replay import JWT_KEY, Stage, local_now, signed, token

LAB_USER, LAB_OTHER = 90001, 90002
PROPOSAL = 60858  # cm31111
ATTACHMENT = "/em/attachment/90000002?prop=cm31111"
IMAGE = "/em/mc/snapshot/90000001/n/1?prop=cm31111"
VISIT = "/api/em/v1/visits/cm31111-7"

MakeToken = Callable[..., str]


@pytest.fixture
def once(stage: Stage) -> Iterator[MakeToken]:
    """Writes one-time tokens as SynchWeb does."""

    def make(address: str = ATTACHMENT, *, person_id: int = LAB_USER, age: float = 0, proposal: int = PROPOSAL) -> str:
        text = uuid4().hex
        row: dict[str, Any] = {
            "token": text,
            "personId": person_id,
            "proposalId": proposal,
            "validity": address.replace("&", "&amp;"),
        }
        with stage.engine.begin() as connection:
            row["recordTimeStamp"] = local_now(connection) - timedelta(seconds=age)
            connection.execute(sa.insert(SWOnceToken).values(row))
        return text

    yield make
    with stage.engine.begin() as connection:
        connection.execute(sa.delete(SWOnceToken))


def left(stage: Stage) -> int:
    with stage.engine.connect() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(SWOnceToken)).scalar_one()


def bearer(spec: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(spec)}"}


def test_without_a_token_both_faces_ask_to_log_in_each_in_its_form(stage: Stage, browser: httpx.Client) -> None:
    native = browser.get(VISIT)
    synchweb = browser.get("/api/em/dc/9000001", params={"prop": "cm31111"})

    assert (native.status_code, native.json()["type"]) == (401, "token-invalid")
    assert native.headers["www-authenticate"] == synchweb.headers["www-authenticate"] == "Bearer"
    assert (synchweb.status_code, set(synchweb.json())) == (401, {"error"})


@pytest.mark.parametrize("variant", ["", "|noexp"])
def test_a_token_of_synchweb_opens_both_faces(stage: Stage, browser: httpx.Client, variant: str) -> None:
    headers = bearer(f"lab_user{variant}")

    assert browser.get(VISIT, headers=headers).json()["visit"] == "cm31111-7"
    assert browser.get("/api/em/dc/9000001", params={"prop": "cm31111"}, headers=headers).status_code == 200


@pytest.mark.parametrize("variant", ["expired", "nbf_future", "iat_future", "hs256", "wrongkey", "nodata"])
@pytest.mark.parametrize("address", [VISIT, "/api/em/dc/9000001?prop=cm31111"])
def test_a_bad_token_opens_neither(stage: Stage, browser: httpx.Client, variant: str, address: str) -> None:
    assert browser.get(address, headers=bearer(f"lab_user|{variant}")).status_code == 401


@pytest.mark.parametrize(
    "login",
    ["lab_user ", " lab_user", "LAB_USER", "Lab_user", "lab_uſer", "lab_user\t", "lab_user\0", "låb_user", "lab%",
     "' OR 1=1 -- ", "lab_user" + " " * 40, "\ud800", "😀", "x" * 60],
    ids=ascii,
)  # fmt: skip
def test_the_collation_logs_nobody_in(stage: Stage, browser: httpx.Client, login: str) -> None:
    """ISPyB ignores case, accents and trailing spaces."""
    headers = {"Authorization": "Bearer " + signed({"alg": "HS512"}, {"data": {"login": login}}, JWT_KEY)}

    assert browser.get(VISIT, headers=headers).status_code == 401


def test_who_was_taken_out_of_ispyb_is_not_let_in_by_an_old_token(stage: Stage, browser: httpx.Client) -> None:
    with stage.engine.begin() as connection:
        connection.execute(sa.insert(Person).values(personId=990001, login="leaver"))
    before = browser.get("/api/em/dc/schema", headers=bearer("leaver")).status_code
    with stage.engine.begin() as connection:
        connection.execute(sa.delete(Person).where(Person.c.personId == 990001))

    assert (before, browser.get("/api/em/dc/schema", headers=bearer("leaver")).status_code) == (200, 401)


def test_a_one_time_token_is_good_once_for_its_address(stage: Stage, browser: httpx.Client, once: MakeToken) -> None:
    address = f"/api{ATTACHMENT}&token={once()}"

    first, second = browser.get(address), browser.get(address)

    assert (first.status_code, first.headers["content-type"]) == (200, "application/pdf")
    assert (second.status_code, set(second.json())) == (400, {"error"})


def test_of_two_that_use_a_stolen_token_at_the_same_instant_one_wins(
    stage: Stage, synchweb: ServiceThread, once: MakeToken
) -> None:
    for _ in range(10):
        address = f"http://127.0.0.1:{synchweb.port}/api{ATTACHMENT}&token={once()}"
        answers: list[int] = []
        gate = threading.Barrier(8)

        def use(gate: threading.Barrier = gate, address: str = address, answers: list[int] = answers) -> None:
            with httpx.Client(timeout=30) as client:
                gate.wait()
                answers.append(client.get(address).status_code)

        threads = [threading.Thread(target=use) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(answers) == [200] + [400] * 7


@pytest.mark.parametrize(
    "address",
    [
        "/em/attachment/90000006?prop=cm31111",
        "/em/attachment/90000002?prop=cm31111&more=1",
        "/em/attachment/90000002?prop=bi8",
        "/em/attachment/90000002",
        "/em/attachments/90000002?prop=cm31111",
        "/em/Attachment/90000002?prop=cm31111",
    ],
)
def test_a_one_time_token_is_good_for_no_other_address(
    stage: Stage, browser: httpx.Client, once: MakeToken, address: str
) -> None:
    text = once()

    answer = browser.get(f"/api{address}{'&' if '?' in address else '?'}token={text}")

    assert answer.status_code in (400, 404)
    assert left(stage) == 1
    assert browser.get(f"/api{ATTACHMENT}&token={text}").status_code == 200


@pytest.mark.parametrize(("age", "status"), [(8, 200), (12, 400), (60, 400), (3600, 400), (86400, 400), (-60, 400)])
def test_a_one_time_token_is_good_for_ten_seconds(
    stage: Stage, browser: httpx.Client, once: MakeToken, age: float, status: int
) -> None:
    assert browser.get(f"/api{ATTACHMENT}&token={once(age=age)}").status_code == status


@pytest.mark.parametrize("change", [str.upper, lambda text: text + " ", lambda text: text[:-1], lambda text: ""])
def test_a_one_time_token_must_be_exactly_the_one(
    stage: Stage, browser: httpx.Client, once: MakeToken, change: Callable[[str], str]
) -> None:
    text = "a" + once()[1:]
    with stage.engine.begin() as connection:
        connection.execute(sa.update(SWOnceToken).values(token=text))

    assert browser.get(f"/api{ATTACHMENT}", params={"prop": "cm31111", "token": change(text)}).status_code == 400
    assert left(stage) == 1


def test_a_wrong_one_time_token_is_refused_beside_a_good_header(
    stage: Stage, browser: httpx.Client, once: MakeToken
) -> None:
    answer = browser.get(f"/api{ATTACHMENT}&token=deadbeef", headers=bearer("lab_user"))

    assert (answer.status_code, set(answer.json())) == (400, {"error"})


def test_a_one_time_token_opens_only_what_its_owner_may_see(
    stage: Stage, browser: httpx.Client, once: MakeToken
) -> None:
    answer = browser.get(f"/api{ATTACHMENT}&token={once(person_id=LAB_OTHER)}")

    assert (answer.status_code, answer.json()["status"]) == (403, 403)


def test_a_one_time_tokens_proposal_narrows_what_it_opens(stage: Stage, browser: httpx.Client, once: MakeToken) -> None:
    answer = browser.get(f"/api{ATTACHMENT}&token={once(proposal=999999)}")

    assert answer.status_code == 400


def test_several_arguments_are_kept_in_their_order(stage: Stage, browser: httpx.Client, once: MakeToken) -> None:
    address = "/em/mc/fft/image/9000001?n=1&prop=cm31111&x=a%20b"

    good = browser.get(f"/api{address}&token={once(address)}")
    first = browser.get(f"/api/em/mc/fft/image/9000001?token={once(address)}&n=1&prop=cm31111&x=a%20b")
    turned = browser.get(f"/api/em/mc/fft/image/9000001?prop=cm31111&n=1&x=a%20b&token={once(address)}")

    assert [answer.status_code for answer in (good, first, turned)] == [200, 200, 400]


def test_a_one_time_token_opens_the_native_api_too(stage: Stage, browser: httpx.Client, once: MakeToken) -> None:
    text = once(VISIT.removeprefix("/api"))

    first, second = [browser.get(f"{VISIT}?token={text}") for _ in range(2)]

    assert (first.status_code, second.status_code, second.json()["type"]) == (200, 401, "once-token-invalid")


def test_a_header_counts_only_as_a_bearer_token(stage: Stage, browser: httpx.Client) -> None:
    good = token("lab_user")
    headers = [f"bearer {good}", f"Bearer  {good}", f"Basic {good}", good, f"Token {good}", "Bearer"]

    answers = [browser.get(VISIT, headers={"Authorization": text}).status_code for text in headers]

    assert answers == [200, 200, 401, 401, 401, 401]
