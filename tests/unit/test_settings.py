"""Settings: from the environment to one frozen tree, and a sentence for everything that is wrong."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from app.errors import SettingsError
from app.settings import Group, Settings, describe, known_names, load

SECRET = "s3cr3t"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own settings stay out of it."""
    for name in list(os.environ):
        if name.upper().startswith("EM_") or name in ("ISPYB_CREDENTIALS", "ZOCALO_CONFIG", "ZOCALO_DEFAULT_ENV"):
            monkeypatch.delenv(name)


def refused(environment: Mapping[str, str]) -> list[str]:
    """The sentences with which these settings stop the start."""
    with pytest.raises(SettingsError) as caught:
        load(environment)
    return list(caught.value.sentences)


def shown(settings: Settings) -> dict[str, str]:
    return {name: value for name, value, _ in describe(settings)}


def is_a_sentence(text: str) -> bool:
    return text.endswith(".") and "\n" not in text and "Traceback" not in text


# From the environment to the tree.


def test_without_any_variable_the_defaults_hold() -> None:
    settings = load({})

    assert shown(settings) == shown(Settings())
    assert settings.database.url.get_secret_value() == "sqlite:///var/em.sqlite"
    assert settings.database.is_sqlite
    assert settings.database.schema_name == "synchweb_em"
    assert settings.broker.is_embedded
    assert settings.broker.destination == "/amq/queue/processing_recipe"
    assert settings.broker.recipes == ("relion",)
    assert settings.visit_directory == "/dls/{beamline}/data/{year}/{visit}"
    assert settings.roots == (Path("/dls"),)
    assert (settings.grace_hours, settings.pickup_hours, settings.stop.give_up_minutes) == (24, 24, 15)
    assert settings.timezone == settings.zone.key == "Europe/London"
    assert settings.auth.modes == ("none",)
    assert settings.relion.voltages == (200, 300)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("EM_DATABASE__URL", "mysql+pymysql://em@h/ispyb", SecretStr("mysql+pymysql://em@h/ispyb")),
        ("EM_DATABASE__SCHEMA", "other", "other"),
        ("EM_DATABASE__CONNECT_TIMEOUT", "1.5", 1.5),
        ("EM_DATABASE__LOCK_TIMEOUT", "5", 5),
        ("EM_BROKER__URL", "stomp://h:1", SecretStr("stomp://h:1")),
        ("EM_BROKER__DESTINATION", "/queue/x", "/queue/x"),
        ("EM_BROKER__MANAGEMENT_URL", "http://h:15672", SecretStr("http://h:15672")),
        ("EM_BROKER__RECIPES", "relion,relion4", ("relion", "relion4")),
        ("EM_BROKER__RECIPES", " relion , relion4 ,", ("relion", "relion4")),
        ("EM_BROKER__RECIPES", "relion", ("relion",)),
        ("EM_RELAY__ENABLED", "false", False),
        ("EM_RELAY__ENABLED", "true", True),
        ("EM_STOP__MESSAGES", "3", 3),
        ("EM_WARN__PICKUP_MINUTES", "0.5", 0.5),
        ("EM_FILES__ROOTS", "/dls,/mnt/data", ("/dls", "/mnt/data")),
        ("EM_FILES__ROOTS", "", ()),
        ("EM_RELION__VOLTAGES", "80, 120,200", (80, 120, 200)),
        ("EM_RELION__VOLTAGES", "300", (300,)),
        ("EM_BEAMLINES", "m12,m06", ("m12", "m06")),
        ("EM_VISIT_DIRECTORY", "/data/{visit}/", "/data/{visit}"),
        ("EM_GRACE_HOURS", "0", 0.0),
        ("EM_TIMEZONE", "America/New_York", "America/New_York"),
        ("EM_THREADS", "8", 8),
        ("em_threads", "8", 8),
        ("Em_Relay__Enabled", "off", False),
    ],
)
def test_a_variable_reaches_its_place_in_the_tree(name: str, text: str, value: object) -> None:
    settings = load({name: text})

    found: Any = settings
    for part in name.upper().removeprefix("EM_").lower().split("__"):
        found = getattr(found, "schema_name" if part == "schema" else part)
    assert found == value


def test_values_come_from_the_mapping_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    # The demo relies on it: it must never meet the real ISPyB of the environment.
    monkeypatch.setenv("EM_DATABASE__URL", "mysql+pymysql://em@production/ispyb")
    monkeypatch.setenv("EM_GRACE_HOURS", "1")
    monkeypatch.setenv("EM_NONSENSE", "1")
    monkeypatch.setenv("ISPYB_CREDENTIALS", "/nothing/here")

    settings = load({"EM_GRACE_HOURS": "48"})

    assert settings.grace_hours == 48
    assert settings.database.is_sqlite


def test_without_a_mapping_values_come_from_the_process_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EM_GRACE_HOURS", "48")
    monkeypatch.setenv("EM_BROKER__RECIPES", "relion,other")

    settings = load()

    assert (settings.grace_hours, settings.broker.recipes) == (48, ("relion", "other"))


def test_a_wrong_value_in_the_process_environment_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EM_GRACE_HOURS", "soon")

    with pytest.raises(SettingsError, match=r"^EM_GRACE_HOURS: "):
        load()


def test_other_groups_of_the_same_name_do_not_disturb_each_other() -> None:
    settings = load({"EM_BROKER__CONNECT_TIMEOUT": "7", "EM_DATABASE__CONNECT_TIMEOUT": "8", "EM_THREADS": "9"})

    assert (settings.broker.connect_timeout, settings.database.connect_timeout) == (7, 8)
    assert (settings.threads, settings.files.threads) == (9, 64)


def test_a_variable_that_is_empty_is_not_set() -> None:
    assert shown(load(dict.fromkeys(known_names(), ""))) == shown(Settings())


def test_what_is_shown_can_be_set_again() -> None:
    settings = load({"EM_BROKER__RECIPES": "relion,b", "EM_RELION__VOLTAGES": "80,300", "EM_FILES__ROOTS": "/a,/b"})

    assert load(shown(settings)).model_dump() == settings.model_dump()


def test_every_setting_is_described() -> None:
    names = [name for name, _, _ in describe(Settings())]

    assert len(names) == len(set(names)) > 20
    assert all(re.fullmatch(r"EM_[A-Z]+(_[A-Z]+)*(__[A-Z]+(_[A-Z]+)*)?", name) for name in names)
    assert [name for name, _, description in describe(Settings()) if not description] == []
    assert known_names() == set(names)


@pytest.mark.parametrize(
    ("roots", "pattern", "expected"),
    [
        ("", "/dls/{beamline}/data/{year}/{visit}", ["/dls"]),
        ("", "/mnt/em/data-{year}/{visit}", ["/mnt/em"]),
        ("", "/data/{visit}", ["/data"]),
        ("", "/{visit}", ["/"]),
        ("/a,/b/c", "/data/{visit}", ["/a", "/b/c"]),
    ],
)
def test_the_roots_are_the_fixed_part_of_the_visit_directory(roots: str, pattern: str, expected: list[str]) -> None:
    settings = load({"EM_FILES__ROOTS": roots, "EM_VISIT_DIRECTORY": pattern})

    assert [str(root) for root in settings.roots] == expected


@pytest.mark.parametrize(
    ("url", "host", "port", "user", "password", "vhost"),
    [
        ("stomp://em:pw@rabbit:61614?vhost=zocalo", "rabbit", 61614, "em", "pw", "zocalo"),
        ("stomp://em:pw@rabbit:61614/?vhost=zocalo", "rabbit", 61614, "em", "pw", "zocalo"),
        ("stomp://rabbit", "rabbit", 61613, "guest", "guest", "/"),
        ("stomp://u%40x:p%2F%3A%3F%23@rabbit?vhost=%2Fem", "rabbit", 61613, "u@x", "p/:?#", "/em"),
        ("stomp://em:pw@[::1]:61613", "::1", 61613, "em", "pw", "/"),
    ],
)
def test_the_address_of_the_broker(url: str, host: str, port: int, user: str, password: str, vhost: str) -> None:
    address = load({"EM_BROKER__URL": url}).broker.address

    assert (address.host, address.port, address.user, address.vhost) == (host, port, user, vhost)
    assert address.password.get_secret_value() == password


@pytest.mark.parametrize(
    ("url", "spool"), [("embedded://", "var/spool"), ("embedded:///tmp/em%20demo/spool", "/tmp/em demo/spool")]
)
def test_the_spool_of_the_embedded_broker(url: str, spool: str) -> None:
    broker = load({"EM_BROKER__URL": url}).broker

    assert broker.is_embedded
    assert broker.spool == Path(spool)


@pytest.mark.parametrize("scheme", ["mysql", "mysql+pymysql", "mariadb", "mariadb+pymysql", "mysql+mysqlconnector"])
def test_the_database_is_spoken_to_by_the_driver_that_is_tested(scheme: str) -> None:
    database = load({"EM_DATABASE__URL": f"{scheme}://em:pw@h:3306/ispyb"}).database

    assert not database.is_sqlite
    assert database.sqlalchemy_url.get_driver_name() == "pymysql"
    assert database.sqlalchemy_url.password == "pw"


# What is not known.


@pytest.mark.parametrize(
    "name",
    [
        "EM_NONSENSE",
        "EM_",
        "EM_DATABASE",
        "EM_DATABASE__",
        "EM_DATABASE__ULR",
        "EM_DATABASE_URL",
        "EM_DATABASE__SCHEMA_NAME",
        "EM_DATABASE__URL__X",
        "EM_BROKER__RECIPES__0",
        "EM_GRACE__HOURS",
        "em_nonsense",
        "EM_URL_",
        "EM_TOKENS",
    ],
)
def test_an_unknown_name_is_refused_and_named(name: str) -> None:
    sentences = refused({name: "1"})

    assert f"{name.upper()} is no setting of this service; see 'synchweb-em config' for their names." in sentences


def test_every_unknown_name_is_named() -> None:
    sentences = refused({"EM_B": "1", "EM_A": "1", "EM_GRACE_HOURS": "x"})

    assert [sentence.split()[0].rstrip(":") for sentence in sentences] == ["EM_A", "EM_B", "EM_GRACE_HOURS"]


@pytest.mark.parametrize("names", [["EM_URL"], ["EM_TOKEN"], ["EM_URL", "EM_TOKEN"], ["em_url"]], ids=repr)
def test_the_clients_own_names_are_not_the_services(names: list[str]) -> None:
    assert shown(load(dict.fromkeys(names, "x"))) == shown(Settings())


@pytest.mark.parametrize("name", ["PATH", "EMAIL", "EM", "XEM_GRACE_HOURS", "GRACE_HOURS", "DATABASE__URL"])
def test_other_variables_are_none_of_our_business(name: str) -> None:
    assert shown(load({name: "nonsense"})) == shown(Settings())


# What is wrong.


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EM_DATABASE__URL", "nonsense"),
        ("EM_DATABASE__URL", "postgresql://h/ispyb"),
        ("EM_DATABASE__URL", "mysql+pymysql://em@h:port/ispyb"),
        ("EM_DATABASE__URL", "sqlite://"),
        ("EM_DATABASE__SCHEMA", "two words"),
        ("EM_DATABASE__SCHEMA", "x" * 65),
        ("EM_DATABASE__SCHEMA", "a`; DROP TABLE x"),
        ("EM_DATABASE__CONNECT_TIMEOUT", "0"),
        ("EM_DATABASE__CONNECT_TIMEOUT", "61"),
        ("EM_DATABASE__STATEMENT_TIMEOUT", "nan"),
        ("EM_DATABASE__LOCK_TIMEOUT", "1.5"),
        ("EM_BROKER__URL", "nonsense"),
        ("EM_BROKER__URL", "amqp://h"),
        ("EM_BROKER__URL", "stomp://h:99999"),
        ("EM_BROKER__URL", "stomp://h:port"),
        ("EM_BROKER__URL", "stomp://[::1"),
        ("EM_BROKER__DESTINATION", "processing_recipe"),
        ("EM_BROKER__DESTINATION", "/queue/two words"),
        ("EM_BROKER__RECIPES", ","),
        ("EM_BROKER__RECIPES", "relion4"),
        ("EM_BROKER__HEARTBEAT", "0"),
        ("EM_RELAY__ENABLED", "maybe"),
        ("EM_RELAY__CLAIM_SECONDS", "5"),
        ("EM_STOP__GIVE_UP_MINUTES", "0"),
        ("EM_STOP__GIVE_UP_MINUTES", "-1"),
        ("EM_STOP__REPEAT_SECONDS", "soon"),
        ("EM_STOP__MESSAGES", "0"),
        ("EM_STOP__MESSAGES", "51"),
        ("EM_WARN__PICKUP_MINUTES", "0"),
        ("EM_AUTH__MODES", "nobody"),
        ("EM_AUTH__MODES", ","),
        ("EM_FILES__DEADLINE", "0"),
        ("EM_FILES__DEADLINE", "inf"),
        ("EM_FILES__THREADS", "3"),
        ("EM_FILES__ROOTS", "relative/folder"),
        ("EM_RELION__VOLTAGES", ","),
        ("EM_RELION__VOLTAGES", "200,high"),
        ("EM_RELION__VOLTAGES", "200;300"),
        ("EM_RELION__VOLTAGES", "-200"),
        ("EM_RELION__VOLTAGES", "0"),
        ("EM_VISIT_DIRECTORY", "relative/{visit}"),
        ("EM_VISIT_DIRECTORY", "/dls/data"),
        ("EM_VISIT_DIRECTORY", "/dls/{session}/{visit}"),
        ("EM_VISIT_DIRECTORY", "/dls/{0}/{visit}"),
        ("EM_VISIT_DIRECTORY", "/dls/{visit"),
        ("EM_VISIT_DIRECTORY", "/dls/{visit}}"),
        ("EM_VISIT_DIRECTORY", "/dls/{visit.__class__}"),
        ("EM_BEAMLINES", ","),
        ("EM_GRACE_HOURS", "-1"),
        ("EM_GRACE_HOURS", "24h"),
        ("EM_GRACE_HOURS", "nan"),
        ("EM_PICKUP_HOURS", "0"),
        ("EM_TIMEZONE", "Mars/Olympus"),
        ("EM_TIMEZONE", "../../etc/passwd"),
        ("EM_TIMEZONE", "/etc/localtime"),
        ("EM_TIMEZONE", "Europe"),
        ("EM_TIMEZONE", "BST"),
        ("EM_THREADS", "3"),
        ("EM_THREADS", "1000000"),
    ],
)
def test_a_wrong_value_gives_one_sentence_that_names_the_variable(name: str, value: str) -> None:
    sentences = refused({name: value})

    assert len(sentences) == 1
    assert re.match(rf"{name}\b(?!__)", sentences[0])
    assert is_a_sentence(sentences[0])


@pytest.mark.parametrize("value", ["inf", "1e300"])
@pytest.mark.parametrize(
    "name",
    [
        "EM_STOP__GIVE_UP_MINUTES",
        "EM_STOP__REPEAT_SECONDS",
        "EM_WARN__PICKUP_MINUTES",
        "EM_WARN__SILENCE_MINUTES",
        "EM_WARN__STOP_MINUTES",
        "EM_GRACE_HOURS",
        "EM_PICKUP_HOURS",
    ],
)
def test_a_time_that_no_clock_can_count_is_refused(name: str, value: str) -> None:
    # timedelta raises OverflowError on these, in the midst of a request.
    sentences = refused({name: value})

    assert len(sentences) == 1
    assert sentences[0].startswith(f"{name}: ")


def test_every_wrong_value_has_a_sentence_of_its_own() -> None:
    sentences = refused({"EM_GRACE_HOURS": "x", "EM_THREADS": "y", "EM_BROKER__DESTINATION": "z"})

    assert sorted(sentence.partition(":")[0] for sentence in sentences) == [
        "EM_BROKER__DESTINATION",
        "EM_GRACE_HOURS",
        "EM_THREADS",
    ]


def test_a_list_with_several_wrong_items_gives_one_sentence() -> None:
    sentences = refused({"EM_RELION__VOLTAGES": "low,high"})

    assert len(sentences) == 1
    assert sentences[0].startswith("EM_RELION__VOLTAGES: ")


def test_what_each_allows_and_all_together_do_not_is_told_too() -> None:
    sentences = refused({"EM_RELAY__CLAIM_SECONDS": "6", "EM_BROKER__RECEIPT_TIMEOUT": "5"})

    assert sentences == [
        "EM_RELAY__CLAIM_SECONDS must be more than a second above EM_BROKER__RECEIPT_TIMEOUT and "
        "EM_BROKER__CONNECT_TIMEOUT."
    ]
    assert load({"EM_RELAY__CLAIM_SECONDS": "6.1", "EM_BROKER__RECEIPT_TIMEOUT": "5"}).relay.claim_seconds == 6.1


# Secrets.

SECRETS = [
    ("EM_DATABASE__URL", f"mysql+pymysql://em:{SECRET}@h:3306/ispyb"),
    ("EM_DATABASE__URL", f"mysql+pymysql://:{SECRET}@h/ispyb"),
    ("EM_DATABASE__URL", f"mysql+pymysql://em:{SECRET}%2F%40%3A@h/ispyb"),
    ("EM_DATABASE__URL", f"mysql+pymysql://em:/{SECRET}@h/ispyb"),
    ("EM_DATABASE__URL", f"mysql+pymysql://em:x/{SECRET}@h/ispyb"),
    ("EM_DATABASE__URL", f"mysql+pymysql://em:x#{SECRET}@h/ispyb"),
    ("EM_DATABASE__URL", f"mysql+pymysql://em:x?{SECRET}@h/ispyb"),
    ("EM_DATABASE__URL", f"mysql+pymysql://em:x:{SECRET}@h/ispyb"),
    ("EM_DATABASE__URL", f"mysql+pymysql://h/ispyb?password={SECRET}"),
    ("EM_BROKER__URL", f"stomp://em:{SECRET}@h:61613?vhost=zocalo"),
    ("EM_BROKER__URL", f"stomp://em:x@{SECRET}@h:61613"),
    ("EM_BROKER__MANAGEMENT_URL", f"http://em:{SECRET}@h:15672"),
]


@pytest.mark.parametrize(("name", "url"), SECRETS)
def test_secrets_are_hidden_wherever_settings_are_shown(name: str, url: str) -> None:
    settings = load({name: url})

    assert SECRET not in "".join(value for _, value, _ in describe(settings))
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)
    assert SECRET not in settings.model_dump_json()
    assert shown(settings)[name] != ""


@pytest.mark.parametrize(("name", "url"), SECRETS[:1] + SECRETS[-3:-2] + SECRETS[-1:])
def test_what_is_no_secret_is_shown(name: str, url: str) -> None:
    assert shown(load({name: url}))[name] == url.replace(SECRET, "***")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EM_DATABASE__URL", SECRET),
        ("EM_DATABASE__URL", f"postgresql://em:{SECRET}@h/ispyb"),
        ("EM_DATABASE__URL", f"mysql://em:{SECRET}@h:port/ispyb"),
        ("EM_BROKER__URL", f"amqp://em:{SECRET}@h"),
        ("EM_BROKER__URL", f"stomp://em:{SECRET}@h:port"),
        ("EM_BROKER__URL", f"stomp://em:{SECRET}/x@h:61613"),
        ("EM_BROKER__URL", f"stomp://em:{SECRET}@[h"),
    ],
)
def test_secrets_are_hidden_where_they_are_refused(name: str, value: str) -> None:
    sentences = refused({name: value})

    assert sentences
    assert SECRET not in "".join(sentences)


# Frozen.


def groups(group: BaseModel) -> Iterator[BaseModel]:
    yield group
    for name in type(group).model_fields:
        if isinstance(value := getattr(group, name), Group):
            yield from groups(value)


def test_nothing_in_the_tree_can_be_changed() -> None:
    settings = load({})

    for group in groups(settings):
        for name in type(group).model_fields:
            with pytest.raises(ValidationError, match="frozen"):
                setattr(group, name, None)


def test_loading_twice_gives_the_same() -> None:
    environment = {"EM_GRACE_HOURS": "48"}

    assert shown(load(environment)) == shown(load(environment))
    assert environment == {"EM_GRACE_HOURS": "48"}


def test_importing_and_building_defaults_reads_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EM_GRACE_HOURS", "1")

    assert Settings().grace_hours == 24


# ISPYB_CREDENTIALS.

CREDENTIALS = """\
[ispyb_mariadb_sp]
user = other
pw = other

[ispyb_sqlalchemy]
username = em
password = p@ss/w%rd
host = db
port = 3307
database = ispyb
"""


def written(path: Path, content: str | bytes) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def test_ispyb_credentials_are_honoured(tmp_path: Path) -> None:
    settings = load({"ISPYB_CREDENTIALS": written(tmp_path / "ispyb.cfg", CREDENTIALS)})

    url = settings.database.sqlalchemy_url
    assert (url.drivername, url.username, url.password) == ("mysql+pymysql", "em", "p@ss/w%rd")
    assert (url.host, url.port, url.database) == ("db", 3307, "ispyb")
    assert "p@ss" not in "".join(shown(settings).values())


def test_an_em_variable_wins_over_ispyb_credentials(tmp_path: Path) -> None:
    path = written(tmp_path / "ispyb.cfg", CREDENTIALS)

    settings = load({"ISPYB_CREDENTIALS": path, "EM_DATABASE__URL": "sqlite:///other"})

    assert settings.database.url.get_secret_value() == "sqlite:///other"


def test_a_variable_that_wins_makes_the_file_unnecessary() -> None:
    settings = load({"ISPYB_CREDENTIALS": "/nothing/here", "em_database__url": "sqlite:///other"})

    assert settings.database.url.get_secret_value() == "sqlite:///other"


def test_other_settings_of_the_database_stand_beside_ispyb_credentials(tmp_path: Path) -> None:
    path = written(tmp_path / "ispyb.cfg", CREDENTIALS)

    settings = load({"ISPYB_CREDENTIALS": path, "EM_DATABASE__SCHEMA": "other", "EM_GRACE_HOURS": "1"})

    assert settings.database.sqlalchemy_url.host == "db"
    assert (settings.database.schema_name, settings.grace_hours) == ("other", 1)


@pytest.mark.parametrize("name", ["EM_DATABASE__URL", "em_database__url"])
def test_a_variable_that_is_empty_wins_over_nothing(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / "ispyb.cfg", CREDENTIALS)

    settings = load({"ISPYB_CREDENTIALS": path, name: ""})

    assert settings.database.sqlalchemy_url.host == "db"


@pytest.mark.parametrize("value", ["", None])
def test_ispyb_credentials_that_are_empty_are_not_set(value: str | None) -> None:
    assert load({} if value is None else {"ISPYB_CREDENTIALS": value}).database.is_sqlite


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="missing file"),
        pytest.param("", id="empty file"),
        pytest.param("[other]\nusername = em\n", id="no such section"),
        pytest.param(CREDENTIALS.replace("host = db\n", ""), id="no host"),
        pytest.param(CREDENTIALS.replace("password = p@ss/w%rd\n", ""), id="no password"),
        pytest.param(CREDENTIALS.replace("username = em", "username"), id="a name without a value"),
        pytest.param(CREDENTIALS.replace("port = 3307", "port = standard"), id="a port that is no number"),
        pytest.param(CREDENTIALS + CREDENTIALS, id="everything twice"),
        pytest.param("no section at all", id="no section"),
        pytest.param(b"\xff\xfe\x00\x81", id="no text"),
    ],
)
def test_ispyb_credentials_that_cannot_be_used_are_named(tmp_path: Path, content: str | bytes | None) -> None:
    path = tmp_path / "ispyb.cfg"
    if content is not None:
        written(path, content)

    sentences = refused({"ISPYB_CREDENTIALS": str(path)})

    assert len(sentences) == 1
    assert sentences[0].startswith("ISPYB_CREDENTIALS")
    assert str(path) in sentences[0]
    assert is_a_sentence(sentences[0])


@pytest.mark.parametrize(
    "content",
    [
        f"password = {SECRET}\n[ispyb_sqlalchemy]\n",
        f"[ispyb_sqlalchemy]\npassword = {SECRET}\n",
        f"[ispyb_sqlalchemy\npassword = {SECRET}\n",
        f"[ispyb_sqlalchemy]\npassword = x\npassword = {SECRET}\n",
    ],
    ids=["before any section", "others are missing", "broken section", "twice"],
)
def test_what_is_wrong_with_ispyb_credentials_is_told_without_the_secret(tmp_path: Path, content: str) -> None:
    sentences = refused({"ISPYB_CREDENTIALS": written(tmp_path / "ispyb.cfg", content)})

    assert SECRET not in "".join(sentences)


# ZOCALO_CONFIG.

ZOCALO = """\
version: 1
environments:
  default: live
  live:
    plugins: [rmq, broker]
  old: [graylog, broker]
  chain: default
  plain: [plain]
  apart: [apart]
  without: [graylog]
  one:
    transport: broker
  circle: round
  round: circle
  nothing:
broker:
  plugin: stomp
  host: activemq
  port: 61613
  username: em
  password: p@ss/word
  prefix: zocalo.
plain:
  plugin: stomp
  host: activemq
  port: 61613
  username: em
  password: x
apart: apart.yml
rmq:
  plugin: pika
  host: rabbit
graylog:
  plugin: graylog
"""


@pytest.fixture
def zocalo(tmp_path: Path) -> str:
    """Zocalo's configuration, with a section in a file of its own."""
    (tmp_path / "apart.yml").write_text("plugin: stomp\nhost: apart\nport: 1\nusername: u\npassword: p\n")
    return written(tmp_path / "zocalo.yml", ZOCALO)


@pytest.mark.parametrize(
    ("environment", "host", "destination"),
    [
        (None, "activemq", "/queue/zocalo.processing_recipe"),
        ("live", "activemq", "/queue/zocalo.processing_recipe"),
        ("chain", "activemq", "/queue/zocalo.processing_recipe"),
        ("old", "activemq", "/queue/zocalo.processing_recipe"),
        ("one", "activemq", "/queue/zocalo.processing_recipe"),
        ("plain", "activemq", "/queue/processing_recipe"),
        ("apart", "apart", "/queue/processing_recipe"),
    ],
)
def test_zocalos_configuration_is_honoured(zocalo: str, environment: str | None, host: str, destination: str) -> None:
    settings = load({"ZOCALO_CONFIG": zocalo} | ({"ZOCALO_DEFAULT_ENV": environment} if environment else {}))

    assert settings.broker.address.host == host
    assert settings.broker.destination == destination


def test_login_and_password_of_zocalos_configuration(zocalo: str) -> None:
    settings = load({"ZOCALO_CONFIG": zocalo})

    address = settings.broker.address
    assert (address.user, address.password.get_secret_value(), address.port) == ("em", "p@ss/word", 61613)
    assert "p@ss" not in "".join(shown(settings).values())


def test_an_em_variable_wins_over_zocalos_configuration(zocalo: str) -> None:
    settings = load({"ZOCALO_CONFIG": zocalo, "EM_BROKER__URL": "stomp://rabbit"})

    assert settings.broker.address.host == "rabbit"
    assert settings.broker.destination == "/amq/queue/processing_recipe"


def test_an_em_destination_stands_beside_zocalos_broker(zocalo: str) -> None:
    settings = load({"ZOCALO_CONFIG": zocalo, "EM_BROKER__DESTINATION": "/queue/x", "EM_BROKER__HEARTBEAT": "5"})

    assert settings.broker.address.host == "activemq"
    assert (settings.broker.destination, settings.broker.heartbeat) == ("/queue/x", 5)


def test_a_broker_that_is_named_makes_zocalos_configuration_unnecessary() -> None:
    settings = load({"ZOCALO_CONFIG": "/nothing/here", "EM_BROKER__URL": "stomp://rabbit"})

    assert settings.broker.address.host == "rabbit"


@pytest.mark.timeout(5)
@pytest.mark.parametrize("environment", ["unknown", "without", "circle", "nothing"])
def test_an_environment_of_zocalo_that_cannot_be_used_is_named(zocalo: str, environment: str) -> None:
    sentences = refused({"ZOCALO_CONFIG": zocalo, "ZOCALO_DEFAULT_ENV": environment})

    assert len(sentences) == 1
    assert sentences[0].startswith(f"ZOCALO_CONFIG names {zocalo}")
    assert repr(environment) in sentences[0]
    assert is_a_sentence(sentences[0])


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="missing file"),
        pytest.param("", id="empty file"),
        pytest.param("just text", id="no mapping"),
        pytest.param("- a\n- b\n", id="a list"),
        pytest.param("environments: 3\n", id="environments are no mapping"),
        pytest.param("environments: {default: [broker]}\n", id="a section is missing"),
        pytest.param("environments: {default: [apart]}\napart: missing.yml\n", id="a section's file is missing"),
        pytest.param("environments: [", id="no YAML"),
        pytest.param(ZOCALO.replace("  host: activemq\n", ""), id="no host"),
        pytest.param(ZOCALO.replace("  password: p@ss/word\n", ""), id="no password"),
        pytest.param(ZOCALO.replace("port: 61613", "port: standard"), id="a port that is no number"),
        pytest.param(ZOCALO + "\ttab", id="no YAML at its end"),
        pytest.param(b"\xff\xfe\x00\x81", id="no text"),
    ],
)
def test_a_configuration_of_zocalo_that_cannot_be_used_is_named(tmp_path: Path, content: str | bytes | None) -> None:
    path = tmp_path / "zocalo.yml"
    if content is not None:
        written(path, content)

    sentences = refused({"ZOCALO_CONFIG": str(path)})

    assert len(sentences) == 1
    assert sentences[0].startswith("ZOCALO_CONFIG")
    assert str(path) in sentences[0]
    assert is_a_sentence(sentences[0])


@pytest.mark.parametrize(
    "content",
    [
        f"environments: {{default: [broker]}}\nbroker: {{plugin: stomp, password: {SECRET}}}\n",
        f'environments: {{default: [broker]}}\nbroker:\n  password: "{SECRET}\n',
        f"environments: {{default: [broker]}}\nbroker:\n  password: {SECRET}: x\n",
    ],
    ids=["others are missing", "a quotation mark is missing", "a colon too many"],
)
def test_what_is_wrong_with_zocalos_configuration_is_told_without_the_secret(tmp_path: Path, content: str) -> None:
    sentences = refused({"ZOCALO_CONFIG": written(tmp_path / "zocalo.yml", content)})

    assert SECRET not in "".join(sentences)
