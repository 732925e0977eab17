"""`python -m tests.bench`: fill an ISPyB as large as a facility's, measure, and write docs/performance.md."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.bench import loading, machine, report, results
from tests.bench.measuring import Bench, say
from tests.bench.results import Found, Results
from tests.bench.sizes import FULL, SHORT, Plan, Sizes
from tests.servers.mariadb import MariaDB
from tests.servers.packages import LOAD, NGINX, SERVERS, PackageError, ensure_packages
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.reaper import Reaper
from tests.support.environments import Servers

ROOT = Path(__file__).parents[2]
PAGE, KEPT = ROOT / "docs" / "performance.md", ROOT / "var" / "bench.json"


def main() -> None:
    """Measure, print the tables, and keep them."""
    arguments = parse()
    try:
        ensure_packages((*SERVERS, NGINX, *LOAD))
    except PackageError as error:
        raise SystemExit(str(error)) from None
    begun = time.monotonic()
    plan, command = (FULL, "bench-full") if arguments.full else (SHORT, "bench")
    sizes = Sizes(arguments.data_collections, arguments.jobs, arguments.movies, arguments.other_movies)
    before = results.find_before(arguments.kept, command)
    found = measure(plan, sizes, dict(arguments.set))
    tried = {"settings": " ".join(f"{name}={value}" for name, value in arguments.set)} if arguments.set else {}
    now = Results(command, machine.describe() | tried, plan.runs, found, time.strftime("%Y-%m-%d"))
    tables = report.write(arguments.page, now, before)
    results.keep(arguments.kept, now)
    sys.stdout.write(f"{tables}\n")
    say(f"done in {(time.monotonic() - begun) / 60:.1f} minutes; written to {arguments.page.name}")


def parse() -> argparse.Namespace:
    """The sizes, and how thorough to be."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--full", action="store_true", help="three runs, longer samples, and three sizes")
    parser.add_argument("--data-collections", type=int, default=Sizes.data_collections, metavar="N")
    parser.add_argument("--jobs", type=int, default=Sizes.jobs, metavar="N")
    parser.add_argument("--movies", type=int, default=Sizes.movies, metavar="N", help="of the biggest program")
    parser.add_argument("--other-movies", type=int, default=Sizes.other_movies, metavar="N", help="of all others")
    parser.add_argument(
        "--set",
        type=_setting,
        action="append",
        default=[],
        metavar="EM_NAME=VALUE",
        help="how the service is set, to try what pays: with --page and --kept elsewhere",
    )
    parser.add_argument("--page", type=Path, default=PAGE, help="where the tables go; its other words stay")
    parser.add_argument("--kept", type=Path, default=KEPT, help="where figures are kept for the next run")
    return parser.parse_args()


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.startswith("EM_"):
        raise argparse.ArgumentTypeError(f"must be EM_NAME=VALUE, not {text}")
    return name, value


def measure(plan: Plan, sizes: Sizes, settings: Mapping[str, str]) -> list[Found]:
    """Each size on servers of its own, so that none has to share its memory with what was loaded before."""
    out = []
    for fraction in plan.growth:
        with Reaper() as reaper:
            say("starting MariaDB and RabbitMQ")
            mariadb, rabbitmq = MariaDB(reaper), RabbitMQ(reaper)
            with ThreadPoolExecutor() as pool:
                for started in [pool.submit(mariadb.start), pool.submit(rabbitmq.start)]:
                    started.result()
            loading.prepare(mariadb)
            servers = Servers(mariadb.port, rabbitmq.stomp_port, rabbitmq.amqp_port, rabbitmq.management_url)
            part = sizes.part(fraction)
            say(f"loading {part.data_collections:,} data collections and {part.jobs:,} jobs")
            mine = plan.at(fraction)
            loaded = loading.load(mariadb, servers, "bench", reaper.new_folder("dls"), part, mine)
            say(f"loaded in {loaded.seconds:.0f} s")
            out.append(Bench(reaper, mariadb, loaded, mine, fraction, settings).measure())
    return out


if __name__ == "__main__":
    main()
