"""The files of deploy/proxy in a real nginx and a real Apache: ``/api/em/`` comes to us, all else to SynchWeb."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from app.access import tokens
from app.ispyb import tables
from app.ispyb.tables import inserted_id
from tests.factories import MadeVisit, launch_body, make_visit
from tests.servers.apache import Apache
from tests.servers.nginx import Nginx
from tests.servers.packages import PROXIES, ensure_packages
from tests.servers.processes import free_port, wait_until
from tests.servers.reaper import Reaper
from tests.support.environments import Environment
from tests.support.proxied import LARGE, MEGABYTE, Installed, InstalledApache, InstalledNginx, Upstream
from tests.support.services import ServiceThread
from tests.system.support import in_threads

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

KEY = "a key that is as long as HS512 wants it to be, which is sixty-four bytes at the least"
LOGIN = "proxied"
# Everything that a proxy may be tempted to tidy up.
ODD = "prop=cm1&x=a%2Fb%20c+d%C3%A9%c3%a9&y=%252F%3D%26&&z&name=../..//raw"
Make = Callable[[int], Installed]


@pytest.fixture(scope="module")
def php() -> Iterator[Upstream]:
    """Plays the rest of SynchWeb."""
    with Upstream("php") as upstream:
        yield upstream
        upstream.shutdown()


@pytest.fixture
def echo() -> Iterator[Upstream]:
    """Plays this service, and says what arrived."""
    with Upstream("echo") as upstream:
        yield upstream
        upstream.shutdown()


@pytest.fixture(scope="module")
def served(environment: Environment) -> Iterator[ServiceThread]:
    """This service, as it is behind a proxy."""
    settings = environment.settings(relay={"enabled": False}, auth={"modes": ["synchweb", "onetime"], "jwt_key": KEY})
    with ServiceThread(settings) as running:
        yield running


@pytest.fixture(scope="module")
def person_id(served: ServiceThread) -> int:
    person = sa.insert(tables.Person).values(login=LOGIN)
    return served.resources.database.write(lambda session: inserted_id(session.execute(person)))


@pytest.fixture(scope="module")
def visit(served: ServiceThread, environment: Environment, person_id: int) -> MadeVisit:
    return make_visit(served.resources.database, environment.dls, members=[person_id])


@pytest.fixture(scope="module", params=["nginx", "apache"])
def make(request: pytest.FixtureRequest, reaper: Reaper, php: Upstream) -> Iterator[Make]:
    """Starts proxies with our files, before PHP and a port of ours."""
    ensure_packages(PROXIES)
    started: list[Installed] = []

    def start(our_port: int) -> Installed:
        installed: Installed
        if request.param == "nginx":
            installed = InstalledNginx(Nginx(reaper), php.port, our_port)
        else:
            installed = InstalledApache(Apache(reaper), php.port, our_port)
        started.append(installed)
        installed.install()
        installed.proxy.check()
        installed.proxy.start()
        return installed

    yield start
    for installed in started:
        installed.proxy.stop()


@pytest.fixture(scope="module")
def before_us(make: Make, served: ServiceThread) -> Installed:
    return make(served.port)


@pytest.fixture
def client(before_us: Installed) -> Iterator[httpx.Client]:
    """A browser of somebody who is on the visit."""
    token = tokens.issue(LOGIN, SecretStr(KEY), seconds=3600)
    with browse(before_us, {"Authorization": f"Bearer {token}"}) as client:
        yield client


def browse(installed: Installed, headers: dict[str, str] | None = None) -> httpx.Client:
    """A browser before the proxy."""
    return httpx.Client(base_url=installed.proxy.url, headers=headers, timeout=30, trust_env=False, verify=False)


def test_our_addresses_come_to_us(client: httpx.Client, visit: MadeVisit) -> None:
    read = client.get(f"/api/em/v1/visits/{visit.name}")
    launched = client.post(f"/api/em/v1/visits/{visit.name}/launch", json=launch_body(ifBlocked="restart"))
    form = client.get("/api/em/relion/schema")

    assert (read.status_code, read.json()["visit"]) == (200, visit.name)
    assert launched.status_code == 202
    assert (form.status_code, "voltage" in form.json()) == (200, True)


def test_our_errors_reach_the_browser_in_our_own_form(client: httpx.Client, before_us: Installed) -> None:
    native = client.get("/api/em/v1/nothing")
    page = client.get("/api/em/nothing.php")
    image = client.get("/api/em/nothing.png")
    with browse(before_us) as stranger:
        refused = stranger.get("/api/em/relion/schema")

    assert (native.status_code, native.headers["content-type"]) == (404, "application/problem+json")
    assert [(answer.status_code, answer.json()["status"]) for answer in (page, image)] == [(404, 404)] * 2
    assert (refused.status_code, list(refused.json())) == (401, ["error"])


@pytest.mark.parametrize("path", ["/api/other", "/api/dc/1?prop=cm1", "/api/emx/jobs/1", "/api/assets/v1.png"])
def test_all_other_addresses_stay_with_synchweb(client: httpx.Client, path: str) -> None:
    answer = client.get(path).json()

    assert (answer["by"], answer["path"]) == ("php", path)


def test_each_request_has_one_id_that_is_in_our_log_and_in_the_answer(client: httpx.Client) -> None:
    ids = [client.get("/api/em/relion/schema").headers.get_list("X-Request-ID") for _ in range(2)]

    assert [len(given) for given in ids] == [1, 1]
    assert ids[0] != ids[1]
    assert all(re.fullmatch(r"[\w-]{20,32}", given) for (given,) in ids)  # the service's own have sixteen characters


def test_the_address_arrives_as_it_was_sent(make: Make, echo: Upstream) -> None:
    paths = [
        f"/api/em/attachment/7?{ODD}",
        "/api/em/a%25b/%C3%A9%20%7Ec;d=1,2",
        "/api/em/v1/visits/cm1-1/data-collections?page=1",
        "/api/em/jobs/1?",
    ]
    with browse(make(echo.port)) as client:
        for path in paths:
            # Below httpx's own ideas of how an address is written.
            client.send(client.build_request("GET", "/", extensions={"target": path.encode()}))

    assert [asked["path"] for asked in echo.asked] == paths


def test_a_one_time_token_is_good_through_the_proxy(
    served: ServiceThread, before_us: Installed, visit: MadeVisit, person_id: int
) -> None:
    address = f"/em/v1/visits/{visit.name}?{ODD}"
    values = {"token": f"once-{before_us.proxy.name}", "personId": person_id, "validity": address.replace("&", "&amp;")}
    served.resources.database.write(lambda session: session.execute(sa.insert(tables.SWOnceToken).values(values)))
    target = f"/api{address}&token={values['token']}".encode()

    with browse(before_us) as client:
        answers = [client.send(client.build_request("GET", "/", extensions={"target": target})) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 401]


def test_the_service_learns_who_asks_and_under_which_name(make: Make, echo: Upstream) -> None:
    with browse(make(echo.port)) as client:
        client.get("/api/em/jobs/1", headers={"Host": "synchweb.example.org", "X-Request-ID": "forged"})
    (asked,) = echo.asked
    headers = {name.lower(): value for name, value in asked["headers"].items()}

    assert headers["host"] == "synchweb.example.org"
    assert (headers["x-forwarded-for"], headers["x-forwarded-proto"]) == ("127.0.0.1", "http")
    assert headers["x-request-id"] != "forged"


def test_a_burst_goes_over_connections_that_are_kept(make: Make, echo: Upstream, client: httpx.Client) -> None:
    before_echo = make(echo.port)

    def browse_on(_: int) -> set[int]:
        with browse(before_echo) as browser:
            return {browser.get("/api/em/jobs/1").status_code for _ in range(20)}

    echoed = in_threads(10, browse_on, range(10))
    ours = in_threads(10, lambda _: client.get("/api/em/relion/schema").status_code, range(200))

    assert echoed == [{200}] * 10
    assert set(ours) == {200}
    assert len(echo.asked) == 200
    assert echo.connections < 50  # a new one for each request would be 200


def test_a_large_download_waits_for_a_slow_browser_and_fills_no_disk(make: Make, echo: Upstream) -> None:
    with browse(make(echo.port)) as client, client.stream("GET", "/api/em/attachment/large") as answer:
        time.sleep(1.0)
        sent_meanwhile = echo.sent
        received = sum(len(chunk) for chunk in answer.iter_raw())

    assert sent_meanwhile < LARGE / 2
    assert received == LARGE


def test_a_body_that_nobody_sends_is_stopped_before_the_service(client: httpx.Client) -> None:
    in_our_words = client.post("/api/em/dc/comments/1", content=b" " * (MEGABYTE + 1))
    much_larger = client.post("/api/em/dc/comments/1", content=b" " * (2 * MEGABYTE))

    assert (in_our_words.status_code, in_our_words.json()["status"]) == (413, 413)
    assert much_larger.status_code == 413


def test_when_the_service_is_away_the_page_can_say_so_until_it_is_back(make: Make) -> None:
    port = free_port()
    with browse(make(port)) as client:
        begun = time.monotonic()
        answers = [client.get("/api/em/jobs/1") for _ in range(2)]
        seconds = time.monotonic() - begun
        others = client.get("/api/other").json()
        with Upstream("echo", port) as echo:
            back = client.get("/api/em/jobs/1").json()
            echo.shutdown()

    assert [answer.status_code for answer in answers] == [503, 503]
    assert [list(answer.json()) for answer in answers] == [["status", "message"]] * 2
    assert seconds < 3
    assert (others["by"], back["by"]) == ("php", "echo")


def test_one_line_takes_it_back_and_hands_it_over_again(make: Make, served: ServiceThread) -> None:
    installed = make(served.port)
    before = who_answer(installed)

    installed.install(taken_back=True)
    installed.proxy.reload()
    wait_until(lambda: who_answer(installed) == {"php"}, 10, "the line is gone")
    installed.install()
    installed.proxy.reload()
    wait_until(lambda: who_answer(installed) == {"us"}, 10, "the line is back")

    assert before == {"us"}


def who_answer(installed: Installed) -> set[str]:
    """To several requests: processes from before a reload may still take some."""
    out = set()
    for _ in range(8):
        with browse(installed) as client:
            answer = client.get("/api/em/relion/schema")
        out.add("us" if answer.status_code == 401 else str(answer.json().get("by")))
    return out


def test_nginx_writes_no_query_into_its_log(reaper: Reaper, php: Upstream, echo: Upstream) -> None:
    ensure_packages(PROXIES)
    installed = InstalledNginx(Nginx(reaper), php.port, echo.port)
    installed.install()
    installed.proxy.start()
    with browse(installed) as client:
        client.get("/api/em/attachment/7?prop=cm1&token=secret")
    log = installed.proxy.folder / "synchweb-em.log"
    wait_until(lambda: log.exists() and log.stat().st_size > 0, 5, "a line in the log")
    installed.proxy.stop()

    assert "/api/em/attachment/7" in log.read_text()
    assert not any("secret" in text for text in itertools.chain([log.read_text()], (installed.proxy.log,)))
