"""Every setting of the service: one frozen tree, read from the environment once, at the start.

Names are prefixed ``EM_`` and nested by ``__``: ``EM_BROKER__URL`` is ``settings.broker.url``.
Lists are written with commas.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    SecretStr,
    ValidationError,
)
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from app import credentials
from app.errors import SettingsError

MOST = 100_000  # of any unit of time: more is a slip of the finger, and at some size no clock can count it
RECIPE = "relion"  # of every job that we launch
SHORTEST_KEY = 32  # characters; HS512 wants 64 bytes, but the key is SynchWeb's to choose
AUTH_MODES = ("none", "synchweb", "onetime")
BROKER_PORTS = {"stomp": 61613, "stomps": 61614, "amqp": 5672, "amqps": 5671}  # by the scheme of EM_BROKER__URL
CLIENT_NAMES = frozenset({"EM_URL", "EM_TOKEN"})  # the command line's own, not the service's


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _whole_numbers(value: object) -> object:
    try:
        return tuple(int(part) for part in value.split(",") if part.strip()) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("must be whole numbers with commas between them") from None


def _absolute(value: tuple[str, ...]) -> tuple[str, ...]:
    if wrong := [path for path in value if not path.startswith("/")]:
        raise ValueError(f"{', '.join(wrong)} must be an absolute path")
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{value!r} is no time zone of the IANA database, such as Europe/London") from error
    return value


def _certificates(value: Path | None) -> Path | None:
    """A file of certificates that can be used: a wrong one would be found only when the broker is needed."""
    if value is not None:
        try:
            ssl.create_default_context(cafile=value)
        except ssl.SSLError:
            raise ValueError(f"{value} holds no certificates in PEM form") from None
        except OSError as error:
            raise ValueError(f"{value} cannot be read ({error.strerror})") from None
    return value


def _destination(value: str) -> str:
    if not re.fullmatch(r"/\S+", value):
        raise ValueError(
            f"{value!r} must begin with a slash: /amq/queue/processing_recipe on RabbitMQ, /queue/… elsewhere"
        )
    return value


def _template(value: str) -> str:
    """The visit directory's pattern must be one that names a directory for each visit."""
    try:
        filled = value.format(beamline="m12", year=2021, visit="cm28212-1", proposal="cm28212")
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError("may contain {beamline}, {year}, {visit} and {proposal}, nothing else in braces") from error
    if not value.startswith("/") or "cm28212-1" not in filled:
        raise ValueError("must be an absolute path with {visit} in it")
    return value.rstrip("/")


CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


class Group(BaseModel):
    """A group of settings: frozen, and a name that is not known is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DatabaseSettings(Group):
    """The server that holds ISPyB, and our own tables beside it."""

    url: SecretStr = Field(
        SecretStr("sqlite:///var/em.sqlite"),
        description="SQLAlchemy URL of ISPyB: mysql+pymysql://user:password@host:3306/ispyb, or sqlite:///file",
    )
    schema_name: str = Field(
        "synchweb_em",
        alias="schema",
        pattern=r"^[A-Za-z0-9_]{1,64}$",
        description="schema (database) of our own tables on the same MariaDB server; SQLite keeps them in its file",
    )
    connect_timeout: float = Field(3.0, gt=0, le=60, description="seconds to wait for a connection")
    statement_timeout: float = Field(10.0, gt=0, le=300, description="seconds to wait for an answer to one statement")
    lock_timeout: int = Field(3, ge=1, le=50, description="seconds to wait for a lock before trying again")

    @property
    def sqlalchemy_url(self) -> URL:
        """The parsed URL, always with the driver that we test with."""
        url = make_url(self.url.get_secret_value())
        return url.set(drivername=f"{url.get_backend_name()}+pymysql") if not self.is_sqlite else url

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded default."""
        return make_url(self.url.get_secret_value()).get_backend_name() == "sqlite"


class BrokerSettings(Group):
    """The message broker that Zocalo listens on."""

    url: SecretStr = Field(
        SecretStr("embedded://"),
        description="stomp://user:password@host:61613?vhost=zocalo, stomps:// with TLS; amqp:// and amqps:// likewise; "
        "embedded:// is the demo's simulator",
    )
    destination: Annotated[str, AfterValidator(_destination)] = Field(
        "/amq/queue/processing_recipe",
        description="where messages go: /amq/queue/… on RabbitMQ (over AMQP that queue itself), /queue/… on ActiveMQ",
    )
    ca_file: Annotated[Path | None, AfterValidator(_certificates)] = Field(
        None,
        description="file of the authorities to trust for stomps://, amqps:// and an https:// management API; default: "
        "those of the system",
    )
    management_url: SecretStr | None = Field(
        None, description="http://user:password@host:15672 of RabbitMQ's management API, to check that the queue exists"
    )
    dead_letter_queue: str | None = Field(
        None,
        min_length=1,
        max_length=255,
        description="queue of the messages that Zocalo rejected; default: dlq. and the name of the queue",
    )
    recipes: CommaSeparated = Field(("relion",), min_length=1, description="recipes whose jobs block a data collection")
    connect_timeout: float = Field(5.0, gt=0, le=60, description="seconds to wait for the broker's answer to the login")
    receipt_timeout: float = Field(5.0, gt=0, le=60, description="seconds to wait for the confirmation of one message")
    heartbeat: float = Field(10.0, ge=1, le=300, description="seconds between heart-beats, both ways")

    @property
    def is_embedded(self) -> bool:
        """Whether the demo's simulator plays broker, Zocalo and RELION."""
        return self.url.get_secret_value().startswith("embedded://")

    @property
    def scheme(self) -> str:
        """What stands before ``://`` in the URL."""
        return self.url.get_secret_value().partition("://")[0]

    @property
    def is_amqp(self) -> bool:
        """Whether the broker is spoken to in AMQP 0-9-1."""
        return self.scheme in ("amqp", "amqps")

    @property
    def queue(self) -> str:
        """The name of the queue that the destination names."""
        return unquote(self.destination.removeprefix("/amq").removeprefix("/queue/"))

    @property
    def dead_letters(self) -> str:
        """The name of the queue where rejected messages end, by Zocalo's published configuration of RabbitMQ."""
        return self.dead_letter_queue or f"dlq.{self.queue}"

    @property
    def spool(self) -> Path:
        """The folder through which the embedded broker hands messages over; ``var/spool`` unless the URL names one."""
        return Path(unquote(urlsplit(self.url.get_secret_value()).path) or "var/spool")

    @cached_property
    def address(self) -> BrokerAddress:
        """Host, port, login and vhost of the URL; an AMQP URL may also have the vhost as its path."""
        parts = urlsplit(self.url.get_secret_value())
        path = unquote(parts.path.removeprefix("/")) if self.is_amqp else ""
        vhosts = {*parse_qs(parts.query).get("vhost", []), *([path] if path else [])}
        if len(vhosts) > 1:
            raise ValueError("two vhosts")
        return BrokerAddress(
            host=parts.hostname or "localhost",
            port=parts.port or BROKER_PORTS[self.scheme],
            user=unquote(parts.username or "guest"),
            password=SecretStr(unquote(parts.password or "guest")),
            vhost=vhosts.pop() if vhosts else "/",
            tls=self.scheme in ("stomps", "amqps"),
        )


class BrokerAddress(Group):
    """Where the broker listens, and as whom we log in."""

    host: str
    port: int
    user: str
    password: SecretStr
    vhost: str
    tls: bool

    @property
    def where(self) -> str:
        """Host and port, as they are told."""
        return f"{self.host}:{self.port}"


class RelaySettings(Group):
    """How messages leave the outbox."""

    enabled: bool = Field(True, description="false: this process only writes messages, 'synchweb-em relay' sends them")
    sweep_seconds: float = Field(1.0, gt=0, le=60, description="how often to look for messages that nobody was told of")
    claim_seconds: float = Field(15.0, gt=1, le=600, description="how long a relay may hold a message before another")
    backoff_seconds: float = Field(8.0, gt=0, le=300, description="longest pause before the broker is tried again")


class StopSettings(Group):
    """How long a stop is pursued."""

    give_up_minutes: float = Field(
        15, gt=0, le=MOST, description="a job asked to stop counts as stopped after so long without any sign of life"
    )
    repeat_seconds: float = Field(
        30, gt=0, le=MOST, description="pause before a stop message is repeated; it doubles each time"
    )
    messages: int = Field(6, ge=1, le=20, description="most stop messages for one request")
    message: Literal["job", "file"] = Field(
        "job",
        description="what a stop message says: the job, for the recipe relion-stop; or the stop file, for the recipe "
        "relion-stop-file, where the dispatcher starts a run for whatever names a job",
    )
    by_job: bool = Field(
        True,
        description="false: the facility's own relion-stop finds the newest run instead of the job's, so no stop is "
        "sent once a later job of the data collection was launched",
    )


class WarningSettings(Group):
    """When a person should have a look."""

    pickup_minutes: float = Field(5, gt=0, le=MOST, description="nobody picked the job up for so long")
    silence_minutes: float = Field(30, gt=0, le=MOST, description="no sign of life of a running job for so long")
    stop_minutes: float = Field(5, gt=0, le=MOST, description="a stop is overdue after so long")


class AuthSettings(Group):
    """Who may use the service."""

    modes: CommaSeparated = Field(
        ("none",),
        min_length=1,
        description="synchweb: SynchWeb's tokens, onetime: its one-time tokens; none: anybody (loopback only)",
    )
    jwt_key: SecretStr | None = Field(None, description="SynchWeb's $jwt_key as it stands; its tokens are HS512")
    staff_permission: str = Field(
        "em_admin", min_length=1, max_length=15, description="ISPyB permission of the microscopes' staff"
    )
    industrial_prefixes: CommaSeparated = Field(
        ("in", "ic", "il", "sw"), description="proposal codes of industrial users"
    )
    industrial_listed_only: bool = Field(
        False, description="true: industrial visits are for the persons listed on them only, not for staff"
    )


class FilesSettings(Group):
    """The visits' file system, which may be slow or hang."""

    roots: Annotated[CommaSeparated, AfterValidator(_absolute)] = Field(
        (), description="folders that stored paths must lie below; default: the fixed part of EM_VISIT_DIRECTORY"
    )
    deadline: float = Field(2.0, gt=0, le=60, description="seconds that a request waits for a look at files")
    threads: int = Field(64, ge=4, le=256, description="most threads that may be waiting for the file system")


class RelionSettings(Group):
    """What the facility's microscopes can do."""

    voltages: Annotated[tuple[PositiveInt, ...], NoDecode, BeforeValidator(_whole_numbers)] = Field(
        (200, 300), min_length=1, description="kV that may be chosen"
    )


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        env_prefix="EM_", env_nested_delimiter="__", frozen=True, extra="forbid", env_ignore_empty=True
    )

    database: DatabaseSettings = DatabaseSettings()
    broker: BrokerSettings = BrokerSettings()
    relay: RelaySettings = RelaySettings()
    stop: StopSettings = StopSettings()
    warn: WarningSettings = WarningSettings()
    auth: AuthSettings = AuthSettings()
    files: FilesSettings = FilesSettings()
    relion: RelionSettings = RelionSettings()
    visit_directory: Annotated[str, AfterValidator(_template)] = Field(
        "/dls/{beamline}/data/{year}/{visit}", description="where a visit's files live"
    )
    beamlines: CommaSeparated = Field(
        ("m01", "m02", "m03", "m04", "m05", "m06", "m07", "m08", "m09", "m10", "m11", "m12", "m13", "m14"),
        min_length=1,
        description="the electron microscopes",
    )
    grace_hours: float = Field(24, ge=0, le=MOST, description="how long after its end a visit may still be processed")
    pickup_hours: float = Field(
        24, gt=0, le=MOST, description="how long a job that nobody picked up blocks its data collection"
    )
    timezone: Annotated[str, AfterValidator(_zone)] = Field(
        "Europe/London", description="the zone of ISPyB's local times"
    )
    share_seconds: float = Field(
        1.0,
        ge=0,
        le=5,
        description="how long what others have written (a person's rights, a program's results, a run's files) is "
        "told to further pollers without a look; 0: never",
    )
    threads: int = Field(16, ge=4, le=500, description="requests handled at once by one worker; the database pool too")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments only; ``load`` adds the environment."""
        return (init_settings,)

    @cached_property
    def zone(self) -> ZoneInfo:
        """The facility's time zone."""
        return ZoneInfo(self.timezone)

    @cached_property
    def roots(self) -> tuple[Path, ...]:
        """The folders that stored paths must lie below."""
        fixed = self.visit_directory.partition("{")[0].rpartition("/")[0] or "/"
        return tuple(Path(root) for root in self.files.roots) or (Path(fixed),)


class _EnvironmentSource(EnvSettingsSource):
    """Environment variables out of a mapping that need not be the process's own."""

    def __init__(self, settings_cls: type[BaseSettings], environ: Mapping[str, str]) -> None:
        self._environ = environ
        super().__init__(settings_cls)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._environ.items() if value}


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsError: with a sentence for each setting that is wrong or unknown.
    """
    environ = os.environ if environment is None else environment
    named = {name.upper() for name in environ if name.upper().startswith("EM_")} - CLIENT_NAMES
    given = {name.upper() for name, value in environ.items() if value}  # an empty one counts as not set
    unknown = sorted(named - known_names())
    sentences = [f"{name} is no setting of this service; see 'synchweb-em config' for their names." for name in unknown]

    class FromEnvironment(Settings):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *others: Any, **more: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return _EnvironmentSource(settings_cls, environ), init_settings

    try:
        settings = FromEnvironment(**credentials.defaults(environ, given))
    except ValidationError as error:
        raise SettingsError(*sentences, *_sentences(error)) from None
    except SourceError:  # a group's own name, such as EM_AUTH, which is unknown as well
        raise SettingsError(*sentences) from None
    sentences += _contradictions(settings)
    if sentences:
        raise SettingsError(*sentences)
    return settings


def known_names() -> set[str]:
    """Every environment variable that the service reads."""
    return {name for name, _, _ in describe(Settings())}


def describe(settings: Settings) -> list[tuple[str, str, str]]:
    """Name, value (secrets hidden) and description of every setting."""
    out = []

    def walk(group: BaseModel, prefix: str) -> None:
        for name, field in type(group).model_fields.items():
            value = getattr(group, name)
            full = prefix + (field.alias or name).upper()
            if isinstance(value, Group):
                walk(value, full + "__")
            else:
                out.append((full, _shown(name, value), field.description or ""))

    walk(settings, "EM_")
    return out


def _shown(name: str, value: Any) -> str:
    if isinstance(value, SecretStr):
        if name.endswith("_key"):
            return "***"
        # Up to the last @, for a password may contain any of the signs that end one in a well-formed URL.
        shown = re.sub(r"(://[^:/@]*:).*@", r"\1***@", value.get_secret_value(), flags=re.DOTALL)
        return re.sub(r"([?&]pass\w*=)[^&]*", r"\1***", shown)
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "" if value is None else str(value)


def _sentences(error: ValidationError) -> list[str]:
    """One sentence for each variable; the items of a list are no variables."""
    out: dict[str, str] = {}
    for item in error.errors(include_input=False):
        name = "EM_" + "__".join(part.upper() for part in item["loc"] if isinstance(part, str))
        out.setdefault(name, f"{name}: {item['msg'].removeprefix('Value error, ')}.")
    return list(out.values())


def _auth_contradictions(auth: AuthSettings) -> list[str]:
    out = []
    if unknown := set(auth.modes) - {*AUTH_MODES}:
        out.append(f"EM_AUTH__MODES: {', '.join(sorted(unknown))} is not known; there are {', '.join(AUTH_MODES)}.")
    if "none" in auth.modes and len(auth.modes) > 1:
        out.append("EM_AUTH__MODES: 'none' trusts everybody, so it cannot stand beside others.")
    if "synchweb" in auth.modes and auth.jwt_key is None:
        out.append("EM_AUTH__JWT_KEY is not set; the mode 'synchweb' needs SynchWeb's $jwt_key.")
    if auth.jwt_key is not None and len(auth.jwt_key.get_secret_value()) < SHORTEST_KEY:
        out.append(f"EM_AUTH__JWT_KEY is shorter than {SHORTEST_KEY} characters, so it could be guessed.")
    if auth.jwt_key is not None and "-----BEGIN" in auth.jwt_key.get_secret_value():
        out.append("EM_AUTH__JWT_KEY is a key pair's; SynchWeb's $jwt_key is a secret text.")
    return out


def _broker_contradictions(broker: BrokerSettings) -> list[str]:
    if broker.is_embedded:
        return []
    if broker.scheme not in BROKER_PORTS:
        return [
            f"EM_BROKER__URL: {broker.scheme if '://' in broker.url.get_secret_value() else 'no'} scheme; use "
            "stomp://user:password@host:61613?vhost=zocalo, or stomps://, amqp:// or amqps://."
        ]
    out = []
    try:
        tls = broker.address.tls
    except ValueError:
        out.append(
            "EM_BROKER__URL has no host, port and vhost that can be read; a password in it must be percent-encoded."
        )
    else:
        if broker.ca_file is not None and not tls:
            out.append(
                "EM_BROKER__CA_FILE is set and EM_BROKER__URL is not encrypted; use stomps:// or amqps:// with it."
            )
    if broker.is_amqp and not re.match(r"(/amq)?/queue/.", broker.destination):
        out.append("EM_BROKER__DESTINATION: over AMQP messages go to a queue; write /amq/queue/ and its name.")
    return out


def _contradictions(settings: Settings) -> list[str]:
    """What each setting alone allows and all together do not."""
    out = []
    try:
        url = make_url(settings.database.url.get_secret_value())
        backend = url.get_backend_name()
        if backend not in ("mysql", "mariadb", "sqlite"):
            out.append(f"EM_DATABASE__URL: {backend} is not supported; use mysql+pymysql://… or sqlite:///….")
        elif backend == "sqlite" and not url.database:
            out.append("EM_DATABASE__URL: a database in memory is forgotten at each start; use sqlite:///file.")
    except (ArgumentError, ValueError):
        out.append("EM_DATABASE__URL is no SQLAlchemy URL, such as mysql+pymysql://user:password@host:3306/ispyb.")
    out += _broker_contradictions(settings.broker)
    if RECIPE not in settings.broker.recipes:
        out.append(f"EM_BROKER__RECIPES must contain {RECIPE}, the recipe of the jobs that are launched here.")
    out += _auth_contradictions(settings.auth)
    if settings.stop.message == "file" and not settings.stop.by_job:
        out.append("EM_STOP__BY_JOB is false, yet with EM_STOP__MESSAGE=file each job has a stop file of its own.")
    if settings.relay.claim_seconds <= max(settings.broker.receipt_timeout, settings.broker.connect_timeout) + 1:
        out.append(
            "EM_RELAY__CLAIM_SECONDS must be more than a second above EM_BROKER__RECEIPT_TIMEOUT and "
            "EM_BROKER__CONNECT_TIMEOUT."
        )
    return out
