"""How arguments are read. What is wrong here is a usage error; what the service must judge is left to it."""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shlex
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable
from typing import Any, Protocol

import httpx

from app.client.http import DEFAULT_URL, PREFIX, Api, NoAnswer, Refused
from app.client.output import complain, show_failure

DONE, REFUSED, NO_ANSWER = 0, 1, 3
LONGEST = 10_000_000.0  # seconds

Command = Callable[[Api, Namespace], int]


class Subparsers(Protocol):
    """What ``ArgumentParser.add_subparsers`` returns; argparse has no public name for it."""

    def add_parser(
        self,
        name: str,
        *,
        help: str | None,
        description: str | None,
        epilog: str | None,
        formatter_class: type[argparse.HelpFormatter],
    ) -> argparse.ArgumentParser:
        """Add the parser of one command."""


def add_command(
    subparsers: Subparsers, name: str, command: Command, summary: str, description: str = "", epilog: str | None = None
) -> argparse.ArgumentParser:
    """Add a command with the options that all of them have."""
    parser = subparsers.add_parser(
        name,
        help=summary,
        description=description or f"{summary[0].upper()}{summary[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--url",
        type=address,
        default=_given_url(),
        help=f"the service's address (default: EM_URL, or {DEFAULT_URL})",
    )
    parser.add_argument(
        "--token",
        type=ascii_word,
        default=os.environ.get("EM_TOKEN", "").strip() or None,
        help="bearer token (default: EM_TOKEN, which other users of this machine cannot see)",
    )
    parser.add_argument("--json", action="store_true", help="print the service's answer, also a refusal, as JSON")
    parser.set_defaults(run=_runner(command), usage_error=parser.error)
    return parser


def _given_url() -> str:
    return os.environ.get("EM_URL") or DEFAULT_URL


def _runner(command: Command) -> Callable[[Namespace], int]:
    def run(arguments: Namespace) -> int:
        try:
            with Api(arguments.url, arguments.token) as api:
                return command(api, arguments)
        except (Refused, NoAnswer) as failure:
            show_failure(failure, as_json=arguments.json)
            return REFUSED if isinstance(failure, Refused) else NO_ANSWER
        except KeyboardInterrupt as interrupt:
            complain("\nInterrupted.", *getattr(interrupt, "__notes__", []))
            return NO_ANSWER

    return run


def next_command(arguments: Namespace, words: str) -> str:
    """A command to type next, which finds the same service."""
    url: str = arguments.url
    elsewhere = "" if url == address(_given_url()) else f" --url {shlex.quote(url)}"
    return f"synchweb-em {words}{elsewhere}"


def address(value: str) -> str:
    """The service's address; the API's own path may be given with it."""
    try:
        url = httpx.URL(value)
        url.host.encode("idna")
        port_fits = url.port is None or 0 < url.port < 65536
    except (httpx.InvalidURL, UnicodeError):
        url, port_fits = httpx.URL(), False
    if url.scheme not in ("http", "https") or not url.host or not port_fits:
        raise ArgumentTypeError(f"{value!r} is not an address such as {DEFAULT_URL} (from --url or EM_URL)")
    if url.userinfo or url.query or url.fragment:
        raise ArgumentTypeError(
            "an address has no password, query or fragment (--url, EM_URL); a token goes into EM_TOKEN"
        )
    return value.rstrip("/").removesuffix(PREFIX)


def ascii_word(value: str) -> str:
    """A token or a key, which travels in a header. It is not repeated in the message: it may be a secret."""
    value = value.strip()
    if not re.fullmatch(r"[\x21-\x7e]+", value):
        raise ArgumentTypeError("must be printable ASCII characters without spaces")
    return value


def text(value: str) -> str:
    """Text that can be sent."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ArgumentTypeError(f"{value!a} is not UTF-8") from None
    if not value:
        raise ArgumentTypeError("must not be empty")
    return value


def identity(value: str) -> int:
    """The number of a job or a data collection."""
    if not re.fullmatch(r"0*[1-9][0-9]{0,9}", value, re.ASCII):
        raise ArgumentTypeError(f"{value!a} is not the number of a job or a data collection, such as 6611642")
    return int(value)


def seconds(value: str) -> float:
    """A length of time."""
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 <= number <= LONGEST:
        raise ArgumentTypeError(f"{value!a} is not a number of seconds")
    return number


def setting(value: str) -> tuple[str, Any]:
    """``name=value``, where the value is a JSON number, ``true``, ``false`` or ``null``, or else text."""
    name, equals, given = value.partition("=")
    if not name or not equals:
        raise ArgumentTypeError(f"{value!a} is not name=value, such as pixelSize=0.885")
    try:
        read = json.loads(given)
    except (ValueError, RecursionError):
        return text(name), given
    simple = read is None or isinstance(read, bool | int) or (isinstance(read, float) and math.isfinite(read))
    return text(name), read if simple else given
