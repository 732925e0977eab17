"""`python -m tests.servers`: MariaDB and RabbitMQ to try things by hand, until Ctrl-C."""

import argparse
import shlex
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.servers.broker import PROCESSING_RECIPE
from tests.servers.mariadb import MariaDB
from tests.servers.packages import EVERYTHING, SERVERS, PackageError, ensure_packages
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.reaper import Reaper


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.servers", description=__doc__)
    parser.add_argument("--install-only", action="store_true", help="make sure the packages are installed, and end")
    arguments = parser.parse_args()
    try:
        ensure_packages(EVERYTHING if arguments.install_only else SERVERS)
    except PackageError as error:
        raise SystemExit(str(error)) from None
    if not arguments.install_only:
        try:
            serve()
        except KeyboardInterrupt:
            sys.stderr.write("stopped\n")


def serve() -> None:
    """Start both servers, print how to reach them as shell variables, and wait for Ctrl-C."""
    with Reaper() as reaper:
        mariadb, rabbitmq = MariaDB(reaper), RabbitMQ(reaper)
        with ThreadPoolExecutor() as pool:
            for started in [pool.submit(mariadb.start), pool.submit(rabbitmq.start)]:
                started.result()
        mariadb.execute("CREATE DATABASE ispyb")
        rabbitmq.add_vhost("zocalo")
        variables = {
            "EM_DATABASE__URL": mariadb.url("ispyb"),
            "EM_BROKER__URL": rabbitmq.stomp_url("zocalo"),
            "EM_BROKER__DESTINATION": f"/amq/queue/{PROCESSING_RECIPE}",
            "EM_BROKER__MANAGEMENT_URL": rabbitmq.management_url.replace("//", "//guest:guest@"),
        }
        sys.stdout.writelines(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
        sys.stdout.write(f"# or over AMQP: export EM_BROKER__URL={shlex.quote(rabbitmq.amqp_url('zocalo'))}\n")
        sys.stdout.flush()
        sys.stderr.write("Ctrl-C stops them and removes their data.\n")
        signal.pause()


if __name__ == "__main__":
    main()
