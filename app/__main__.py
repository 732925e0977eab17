"""The commands."""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from app import __version__
from app.client import commands as client
from app.errors import EMError, SettingsError

USAGE_ERROR = 64  # EX_USAGE of sysexits.h
SETTINGS_ERROR = 78  # EX_CONFIG: init systems then do not restart the service for nothing
MOST_HOURS = 168  # of a token: nothing can take it back


class _Parser(argparse.ArgumentParser):
    """Usage errors have an exit code of their own: 1 and 2 are answers of ``wait``."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(USAGE_ERROR, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    parsed = parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = parsed.run
    try:
        return run(parsed)
    except SettingsError as error:
        sys.stderr.write("\n".join(error.sentences) + "\n")
        return SETTINGS_ERROR
    except EMError as error:
        sys.stderr.write(error.detail + "\n")
        return 1
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """All commands with their options."""
    top = _Parser(prog="synchweb-em", description="Launch, watch and stop RELION for cryo-EM visits.")
    top.add_argument("--version", action="version", version=f"synchweb-em {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    serve = commands.add_parser("serve", help="answer requests, with a relay inside")
    _add_address(serve)
    serve.add_argument("--workers", type=_between(1, 64), default=1, help="processes (default 1; one only on SQLite)")
    serve.add_argument("--no-relay", action="store_true", help="leave sending to 'synchweb-em relay'")
    serve.set_defaults(run=_serve)

    relay = commands.add_parser("relay", help="send messages only; any number of them may run")
    relay.set_defaults(run=_on_server("relay"))

    demo = commands.add_parser("demo", help="a service with demo data and a simulated Zocalo and RELION")
    _add_address(demo)
    demo.add_argument("--var", type=Path, default=Path("var"), help="folder for its database and files (default var)")
    demo.set_defaults(run=_on_server("demo"))

    sandbox_command = commands.add_parser("sandbox", help="an ISPyB of one's own")
    create = sandbox_command.add_subparsers(metavar="create", required=True, parser_class=_Parser).add_parser(
        "create",
        help="ISPyB's tables and demo rows on the empty database of EM_DATABASE__URL, movies in EM_VISIT_DIRECTORY",
    )
    create.set_defaults(run=_on_server("sandbox_create"))

    migrate = commands.add_parser("migrate", help="create or update our own tables")
    migrate.set_defaults(run=_on_server("migrate"))

    token = commands.add_parser(
        "token",
        help="print a SynchWeb token for a login",
        description="Print a SynchWeb token for a login, signed with EM_AUTH__JWT_KEY: for scripts of the facility's "
        "staff, and for trying the demo. Whoever has it is that person, so keep it to yourself.",
        epilog="EM_TOKEN=$(synchweb-em token LOGIN) is what this command line sends.",
    )
    token.add_argument("login", type=_login, metavar="LOGIN", help="as ISPyB has it in Person.login")
    token.add_argument(
        "--hours", type=_between(1, MOST_HOURS), default=1, metavar="N", help="how long it counts, in hours (default 1)"
    )
    token.set_defaults(run=_on_server("token"))

    config = commands.add_parser("config", help="print the settings in force, with secrets hidden")
    config.set_defaults(run=_on_server("config"))

    check = commands.add_parser("doctor", help="check database, broker, queue and directories")
    check.set_defaults(run=_on_server("check"))

    document = commands.add_parser("openapi", help="print the API's document")
    document.set_defaults(run=_on_server("openapi"))

    client.add_parsers(commands)
    return top


def _on_server(name: str) -> Callable[[argparse.Namespace], int]:
    """A command of app.serving. Loading it takes a second, which people's commands must not wait for."""

    def run(arguments: argparse.Namespace) -> int:
        gc.disable()
        command: Callable[[argparse.Namespace], int] = getattr(importlib.import_module("app.serving"), name)
        # What was imported stays. To search it for garbage again and again would stop all threads for 0.1 s each time.
        gc.freeze()
        gc.enable()
        return command(arguments)

    return run


def _serve(arguments: argparse.Namespace) -> int:
    run = _on_server("serve")
    if arguments.workers == 1:
        return run(arguments)
    # Until uvicorn has a handler of its own, for the folder has to go. The metrics' library asks for it when imported.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="synchweb-em-workers-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        return run(arguments)


def _between(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= (value := int(text)) <= most:
            raise argparse.ArgumentTypeError(f"must be {least} to {most}, not {text}")
        return value

    return parse


def _login(text: str) -> str:
    if not text or text != text.strip():
        raise argparse.ArgumentTypeError("must be a login, without spaces around it")
    return text


def _add_address(command: argparse.ArgumentParser) -> None:
    command.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    command.add_argument("--port", type=_between(1, 65535), default=8000, help="port to listen on (default 8000)")


if __name__ == "__main__":
    sys.exit(main())
