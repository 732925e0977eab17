"""The files in which a facility may keep what we need already: ``ISPYB_CREDENTIALS`` and ``ZOCALO_CONFIG``.

An ``EM_`` variable wins over either.
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
        out["database"] = {"url": ispyb_url(Path(path))}
    if (path := environ.get("ZOCALO_CONFIG")) and "EM_BROKER__URL" not in given:
        broker = zocalo_broker(Path(path), environ.get("ZOCALO_DEFAULT_ENV", "default"))
        out["broker"] = {key: value for key, value in broker.items() if f"EM_BROKER__{key.upper()}" not in given}
    return out


def ispyb_url(path: Path) -> str:
    """The SQLAlchemy URL of section ``ispyb_sqlalchemy`` of an ISPyB credentials file."""
    parser = configparser.RawConfigParser(allow_no_value=True)
    try:
        if not parser.read(path):
            raise SettingsError(f"ISPYB_CREDENTIALS names {path}, which cannot be read; set EM_DATABASE__URL instead.")
        section = dict(parser.items("ispyb_sqlalchemy"))
        return "mysql+pymysql://{}:{}@{}:{}/{}".format(
            quote(section["username"], safe=""),
            quote(section["password"], safe=""),
            section["host"],
            section["port"],
            section["database"],
        )
    except (configparser.Error, KeyError) as error:
        raise SettingsError(
            f"ISPYB_CREDENTIALS names {path}, whose section [ispyb_sqlalchemy] must have username, password, host, "
            f"port and database ({error}); set EM_DATABASE__URL instead."
        ) from None


def zocalo_broker(path: Path, environment: str) -> dict[str, str]:
    """URL and destination of the STOMP broker that Zocalo's configuration uses in this environment.

    The format is that of ``zocalo.configuration`` (zocalo 1.5): environments name plugin sections; a section may
    stand in a file of its own.
    """
    hint = "set EM_BROKER__URL instead"
    try:
        document = yaml.safe_load(path.read_text())
        plugins = document["environments"][environment]
        while isinstance(plugins, str):  # an alias of another environment
            plugins = document["environments"][plugins]
        names = (
            plugins if isinstance(plugins, list) else [name for group in plugins.values() for name in _listed(group)]
        )
        sections = [_section(path, document[name]) for name in names]
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(
            f"ZOCALO_CONFIG names {path}, from which the environment {environment!r} cannot be read ({error}); {hint}."
        ) from None
    for section in sections:
        if section.get("plugin") == "stomp":
            login = f"{quote(str(section['username']), safe='')}:{quote(str(section['password']), safe='')}"
            prefix = str(section.get("prefix") or "").rstrip(".")
            return {
                "url": f"stomp://{login}@{section['host']}:{section['port']}",
                "destination": f"/queue/{prefix}.processing_recipe" if prefix else "/queue/processing_recipe",
            }
    raise SettingsError(f"ZOCALO_CONFIG names {path}, which has no 'stomp' plugin in {environment!r}; {hint}.")


def _listed(group: object) -> list[str]:
    return group if isinstance(group, list) else [str(group)]


def _section(path: Path, section: object) -> dict[str, Any]:
    loaded = yaml.safe_load((path.parent / section).read_text()) if isinstance(section, str) else section
    return loaded if isinstance(loaded, dict) else {}
