"""The files in which a facility keeps what we need: ISPYB_CREDENTIALS and ZOCALO_CONFIG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from app.errors import SettingsError
from app.settings import Settings, describe, load

SECRET = "s3cr3t"


def refused(environment: Mapping[str, str]) -> list[str]:
    """The sentences with which these settings stop the start."""
    with pytest.raises(SettingsError) as caught:
        load(environment)
    return list(caught.value.sentences)


def shown(settings: Settings) -> dict[str, str]:
    return {name: value for name, value, _ in describe(settings)}


def is_a_sentence(text: str) -> bool:
    return text.endswith(".") and "\n" not in text and "Traceback" not in text


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
    plugins: [graylog, broker]
  both: [broker, rmq]
  amqp: [rmq]
  named_amqp: [over_amqp, broker, rmq]
  named_stomp: [rmq, over_stomp, broker]
  hosts: [several]
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
  port: 5673
  username: em
  password: p@ss/word
  vhost: zocalo/em
several:
  plugin: pika
  host: rabbit1,rabbit2
  port: 5672
  username: em
  password: x
  vhost: zocalo
over_stomp:
  plugin: transport
  default: StompTransport
over_amqp:
  plugin: transport
  default: PikaTransport
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
        ("named_stomp", "activemq", "/queue/zocalo.processing_recipe"),
        ("amqp", "rabbit", "/amq/queue/processing_recipe"),
        ("both", "rabbit", "/amq/queue/processing_recipe"),
        ("named_amqp", "rabbit", "/amq/queue/processing_recipe"),
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


def test_zocalos_rabbitmq_is_spoken_to_in_amqp_with_its_vhost(zocalo: str) -> None:
    settings = load({"ZOCALO_CONFIG": zocalo, "ZOCALO_DEFAULT_ENV": "amqp"})

    address = settings.broker.address
    assert settings.broker.is_amqp
    assert (address.user, address.password.get_secret_value(), address.port) == ("em", "p@ss/word", 5673)
    assert (address.vhost, settings.broker.queue, address.tls) == ("zocalo/em", "processing_recipe", False)


def test_zocalos_rabbitmq_on_several_hosts_is_left_to_the_facility(zocalo: str) -> None:
    sentences = refused({"ZOCALO_CONFIG": zocalo, "ZOCALO_DEFAULT_ENV": "hosts"})

    assert sentences == [f"ZOCALO_CONFIG names {zocalo}: its broker has several hosts; set EM_BROKER__URL instead."]


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
