"""From the environment to the settings: names, values, secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydantic import BaseModel, SecretStr, ValidationError

from app.errors import SettingsError
from app.settings import BrokerSettings, Group, Settings, describe, known_names, load

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
        ("stomps://rabbit", "rabbit", 61614, "guest", "guest", "/"),
        ("amqp://rabbit", "rabbit", 5672, "guest", "guest", "/"),
        ("amqp://rabbit/", "rabbit", 5672, "guest", "guest", "/"),
        ("amqps://em:pw@rabbit/zocalo", "rabbit", 5671, "em", "pw", "zocalo"),
        ("amqp://em:pw@rabbit:5673/%2Fem", "rabbit", 5673, "em", "pw", "/em"),
        ("amqp://em:pw@rabbit?vhost=zocalo", "rabbit", 5672, "em", "pw", "zocalo"),
        ("amqp://em:pw@rabbit/zocalo?vhost=zocalo", "rabbit", 5672, "em", "pw", "zocalo"),
    ],
)
def test_the_address_of_the_broker(url: str, host: str, port: int, user: str, password: str, vhost: str) -> None:
    address = load({"EM_BROKER__URL": url}).broker.address

    assert (address.host, address.port, address.user, address.vhost) == (host, port, user, vhost)
    assert address.password.get_secret_value() == password


@pytest.mark.parametrize(
    ("url", "tls"),
    [("stomp://h", False), ("stomps://h", True), ("amqp://h", False), ("amqps://h", True)],
)
def test_the_scheme_says_whether_the_broker_is_spoken_to_in_tls(url: str, tls: bool) -> None:
    assert load({"EM_BROKER__URL": url}).broker.address.tls is tls


@pytest.mark.parametrize(
    ("destination", "queue"),
    [
        ("/amq/queue/processing_recipe", "processing_recipe"),
        ("/queue/zocalo.processing_recipe", "zocalo.processing_recipe"),
        ("/amq/queue/a%2Fb", "a/b"),
    ],
)
def test_over_amqp_the_destination_is_the_queue_that_it_names(destination: str, queue: str) -> None:
    settings = load({"EM_BROKER__URL": "amqp://h", "EM_BROKER__DESTINATION": destination})

    assert settings.broker.queue == queue


@pytest.mark.parametrize(
    "destination", ["/topic/processing_recipe", "/exchange/zocalo/x", "/amq/queue/", "/processing_recipe"]
)
def test_over_amqp_a_destination_that_is_no_queue_is_refused(destination: str) -> None:
    sentences = refused({"EM_BROKER__URL": "amqp://h", "EM_BROKER__DESTINATION": destination})

    assert sentences == ["EM_BROKER__DESTINATION: over AMQP messages go to a queue; write /amq/queue/ and its name."]


def test_authorities_without_tls_are_refused_for_they_would_check_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(path))

    sentences = refused({"EM_BROKER__URL": "amqp://h", "EM_BROKER__CA_FILE": str(path)})

    assert len(sentences) == 1
    assert sentences[0].startswith("EM_BROKER__CA_FILE is set and EM_BROKER__URL is not encrypted")
    assert load({"EM_BROKER__URL": "amqps://h", "EM_BROKER__CA_FILE": str(path)}).broker.ca_file == path


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
        ("EM_BROKER__URL", "kafka://h"),
        ("EM_BROKER__URL", "amqp://h/one?vhost=two"),
        ("EM_BROKER__CA_FILE", "/nothing/here"),
        ("EM_BROKER__CA_FILE", "/etc/passwd"),
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
        ("EM_AUTH__MODES", "oidc"),
        ("EM_AUTH__JWT_KEY", "x" * 31),
        ("EM_AUTH__JWT_KEY", "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----"),
        ("EM_AUTH__STAFF_PERMISSION", "longer_than_15_ch"),
        ("EM_AUTH__INDUSTRIAL_LISTED_ONLY", "perhaps"),
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
        ("EM_BROKER__URL", f"kafka://em:{SECRET}@h"),
        ("EM_BROKER__URL", SECRET),
        ("EM_BROKER__URL", f"stomp://em:{SECRET}@h:port"),
        ("EM_BROKER__URL", f"amqp://em:{SECRET}@h:port"),
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


KEY = "k" * 64


def test_synchwebs_tokens_need_its_key() -> None:
    with pytest.raises(SettingsError) as failed:
        load({"EM_AUTH__MODES": "synchweb,onetime"})

    assert failed.value.sentences == ("EM_AUTH__JWT_KEY is not set; the mode 'synchweb' needs SynchWeb's $jwt_key.",)
    assert load({"EM_AUTH__MODES": "synchweb,onetime", "EM_AUTH__JWT_KEY": KEY}).auth.modes == ("synchweb", "onetime")


def test_trusting_everybody_cannot_stand_beside_asking_for_a_token() -> None:
    with pytest.raises(SettingsError) as failed:
        load({"EM_AUTH__MODES": "none,synchweb", "EM_AUTH__JWT_KEY": KEY})

    assert "EM_AUTH__MODES: 'none' trusts everybody" in failed.value.sentences[0]


def test_the_key_of_the_tokens_is_shown_nowhere() -> None:
    settings = load({"EM_AUTH__MODES": "synchweb", "EM_AUTH__JWT_KEY": KEY})

    assert shown(settings)["EM_AUTH__JWT_KEY"] == "***"
    assert KEY not in repr(settings)


def test_a_stop_file_is_each_jobs_own() -> None:
    with pytest.raises(SettingsError) as failed:
        load({"EM_STOP__MESSAGE": "file", "EM_STOP__BY_JOB": "false"})

    assert failed.value.sentences == (
        "EM_STOP__BY_JOB is false, yet with EM_STOP__MESSAGE=file each job has a stop file of its own.",
    )
    assert load({"EM_STOP__MESSAGE": "file"}).stop.message == "file"
    assert load({"EM_STOP__BY_JOB": "false"}).stop.by_job is False


def test_rejected_messages_are_where_zocalos_published_configuration_puts_them() -> None:
    named = load({"EM_BROKER__URL": "stomp://broker", "EM_BROKER__DEAD_LETTER_QUEUE": "dead"}).broker

    assert BrokerSettings(destination="/amq/queue/processing_recipe").dead_letters == "dlq.processing_recipe"
    assert named.dead_letters == "dead"
