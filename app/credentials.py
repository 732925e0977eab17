"""The files in which a facility may keep what we need already: ``ISPYB_CREDENTIALS`` and ``ZOCALO_CONFIG``.

An ``EM_`` variable wins over either. What is wrong with a file is told without its lines: they hold passwords.
"""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from app.errors import SettingsError


def defaults(environ: Mapping[str, str], given: set[str]) -> dict[str, Any]:
    """What the two files say about settings that the environment leaves open.

    Raises:
        SettingsError: a file that is named cannot be used.
    """
    out: dict[str, Any] = {}
    if (path := environ.get("ISPYB_CREDENTIALS")) and "EM_DATABASE__URL" not in given:
        try:
            out["database"] = {"url": ispyb_url(Path(path))}
        except _UnusableError as reason:
            raise SettingsError(f"ISPYB_CREDENTIALS names {path}: {reason}; set EM_DATABASE__URL instead.") from None
    if (path := environ.get("ZOCALO_CONFIG")) and "EM_BROKER__URL" not in given:
        try:
            broker = zocalo_broker(Path(path), environ.get("ZOCALO_DEFAULT_ENV") or "default")
        except _UnusableError as reason:
            raise SettingsError(f"ZOCALO_CONFIG names {path}: {reason}; set EM_BROKER__URL instead.") from None
        out["broker"] = {key: value for key, value in broker.items() if f"EM_BROKER__{key.upper()}" not in given}
    return out


class _UnusableError(Exception):
    """Why a file cannot be used, as a part of a sentence."""


def ispyb_url(path: Path) -> str:
    """The SQLAlchemy URL of section ``ispyb_sqlalchemy`` of an ISPyB credentials file."""
    parser = configparser.RawConfigParser(allow_no_value=True)
    try:
        parser.read_string(_text(path))
        section = dict(parser.items("ispyb_sqlalchemy"))
    except configparser.NoSectionError:
        raise _UnusableError("it has no section [ispyb_sqlalchemy]") from None
    except configparser.Error as error:
        raise _UnusableError(f"it cannot be read as sections of 'name = value' ({type(error).__name__})") from None
    return "mysql+pymysql://{username}:{password}@{host}:{port}/{database}".format(
        **_complete(section, ("username", "password", "host", "port", "database"))
    )


def zocalo_broker(path: Path, environment: str) -> dict[str, str]:
    """URL and destination of the broker that Zocalo's configuration uses in this environment.

    Where it has both, AMQP (plugin ``pika``) and STOMP, its ``transport`` says which; otherwise it is AMQP, Zocalo's
    own default.

    The format is that of ``zocalo.configuration`` (zocalo 1.5): environments name plugin sections; a section may
    stand in a file of its own.
    """
    document = _yaml(path)
    try:
        environments = document["environments"]
        plugins, seen = environments[environment], {environment}
        while isinstance(plugins, str):  # an alias of another environment
            if plugins in seen:
                raise _UnusableError(f"the environment {environment!r} is an alias of itself")
            seen.add(plugins)
            plugins = environments[plugins]
        groups = plugins.values() if isinstance(plugins, dict) else [plugins]
        names = [name for group in groups for name in (group if isinstance(group, list) else [group])]
        sections = [document[name] for name in names]
    except (KeyError, TypeError, AttributeError):
        raise _UnusableError(f"it does not describe the environment {environment!r} as Zocalo's do") from None
    found: dict[str, dict[str, Any]] = {}
    for section in sections:
        plugin = _yaml(path.parent / section) if isinstance(section, str) else section
        if isinstance(plugin, dict):
            found.setdefault(str(plugin.get("plugin")), plugin)
    chosen = str(found.get("transport", {}).get("default"))
    if "pika" in found and (chosen != "StompTransport" or "stomp" not in found):
        return _amqp(found["pika"])
    if "stomp" in found:
        return _stomp(found["stomp"])
    raise _UnusableError(f"it has neither a 'pika' nor a 'stomp' plugin in the environment {environment!r}")


def _amqp(section: Mapping[str, Any]) -> dict[str, str]:
    if "," in f"{section.get('host')}{section.get('port')}":
        raise _UnusableError("its broker has several hosts")
    values = _complete(section, ("username", "password", "host", "port", "vhost"))
    return {
        "url": "amqp://{username}:{password}@{host}:{port}?vhost={vhost}".format(**values),
        "destination": "/amq/queue/processing_recipe",
    }


def _stomp(section: Mapping[str, Any]) -> dict[str, str]:
    values = _complete(section, ("username", "password", "host", "port"))
    prefix = str(section.get("prefix") or "").rstrip(".")
    return {
        "url": "stomp://{username}:{password}@{host}:{port}".format(**values),
        "destination": f"/queue/{prefix}.processing_recipe" if prefix else "/queue/processing_recipe",
    }


def _complete(section: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, str]:
    """These values, fit for a URL."""
    if missing := [name for name in names if section.get(name) in (None, "")]:
        raise _UnusableError(f"it lacks {', '.join(missing)}")
    if not str(section["port"]).isdecimal():
        raise _UnusableError("its port is no number")
    return {name: str(section[name]) if name == "host" else quote(str(section[name]), safe="") for name in names}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise _UnusableError(f"it cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise _UnusableError("it is no text") from None


def _yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(_text(path))
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f", line {error.problem_mark.line + 1}"
        raise _UnusableError(f"it is not valid YAML{line}") from None
    except yaml.YAMLError:
        raise _UnusableError("it is not valid YAML") from None
