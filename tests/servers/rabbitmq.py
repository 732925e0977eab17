"""A private RabbitMQ broker with STOMP and the management API."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.servers.broker import Broker
from tests.servers.certificates import Certificates
from tests.servers.packages import get_program
from tests.servers.processes import ServerProcess, accepts_connections, free_port
from tests.servers.reaper import Reaper

START_TIMEOUT = 90.0  # seconds
STOP_TIMEOUT = 30.0  # seconds; the management plugin alone takes five of them
LEADER_CAUGHT_UP = 0.1  # seconds until a new leader has read its log; one or two milliseconds were seen
DECLARATION_SAVED = 2.0  # seconds after which a new quorum queue is certainly on disk; half a second to one was seen


class RabbitMQ(Broker):
    """A RabbitMQ node on ports and data of its own; `guest` is its administrator."""

    def __init__(self, reaper: Reaper, certificates: Certificates | None = None) -> None:
        self.management_port = free_port()
        super().__init__(free_port(), free_port(), f"http://127.0.0.1:{self.management_port}")
        self._certificates = certificates
        self.stomps_port, self.amqps_port = free_port(), free_port()  # with certificates only
        self._epmd_port = free_port()
        self._distribution_port = free_port()
        self._folder = reaper.new_folder("rabbitmq")
        self._node = ServerProcess("rabbitmq", reaper, self._folder)
        # Erlang's port mapper would put itself into the background, so we run it ourselves in the foreground.
        self._epmd = ServerProcess("epmd", reaper, self._folder)

    @property
    def running(self) -> bool:
        return self._node.running

    @property
    def pid(self) -> int:
        return self._node.pid

    def start(self) -> None:
        if self.running:
            return
        environment = _environment(self._folder, self._epmd_port, self._distribution_port)
        self._configure()
        self._epmd.start([get_program("epmd"), "-port", str(self._epmd_port)], environment)
        self._epmd.wait_until(lambda: accepts_connections(self._epmd_port), START_TIMEOUT, "accept connections")
        log_start = self._node.log.stat().st_size if self._node.log.exists() else 0
        # The packaged script, not the one in the PATH: that one would change the user and lose the environment.
        self._node.start([get_program("/usr/lib/rabbitmq/bin/rabbitmq-server")], environment)
        self._node.wait_until(self._ready, START_TIMEOUT, "accept connections")
        self._node.wait_until(lambda: self._leaders_elected(log_start), START_TIMEOUT, "elect leaders of quorum queues")
        time.sleep(LEADER_CAUGHT_UP)

    def stop(self) -> None:
        """Shut down in good order, which takes six seconds; `kill()` is for when nothing is to be kept."""
        self._node.terminate(STOP_TIMEOUT)
        self._epmd.kill()

    def kill(self) -> None:
        """End the broker as a power failure would, but not before its disk knows all quorum queues.

        A quorum queue's name is written a little later than its declaration is confirmed (rabbitmq/ra#443): a broker
        that is killed in between never serves that queue again.
        """
        # The folder in which each quorum queue has its own; it changes when one is declared or deleted.
        changed = max((folder.stat().st_mtime for folder in self._folder.glob("data/*/quorum/*")), default=0.0)
        time.sleep(min(max(0.0, changed + DECLARATION_SAVED - time.time()), DECLARATION_SAVED))
        self._node.kill()
        self._epmd.kill()

    def restart(self) -> None:
        """Start again on the same ports and data, whether it was stopped, killed or still runs."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        self._node.freeze()

    def thaw(self) -> None:
        self._node.thaw()

    @contextmanager
    def low_on_memory(self) -> Iterator[None]:
        """Make the broker block those who publish, as it does when memory runs out."""
        self._control("set_vm_memory_high_watermark", "0.0001")
        try:
            yield
        finally:
            self._control("set_vm_memory_high_watermark", "0.6")

    def close_connections(self, vhost: str) -> None:
        """Throw everybody out of a vhost."""
        self._control("close_all_connections", "--vhost", vhost, "thrown out by the tests")

    def _control(self, *command: str) -> None:
        environment = _environment(self._folder, self._epmd_port, self._distribution_port)
        program = get_program("/usr/lib/rabbitmq/bin/rabbitmqctl")
        subprocess.run([program, *command], env=environment, check=True, capture_output=True, timeout=START_TIMEOUT)

    def _ready(self) -> bool:
        try:
            self.call("GET", "/overview")
        except httpx.HTTPError:
            return False
        return accepts_connections(self.stomp_port) and accepts_connections(self.amqp_port)

    def _leaders_elected(self, log_start: int) -> bool:
        """Whether every quorum queue has its leader, which takes up to a second after the broker itself is up.

        Before that a queue claims to be empty, or to have fewer messages than it has. Only the log tells.
        """
        queues = [item for item in self.call("GET", "/queues?disable_stats=true") if item["type"] == "quorum"]
        log = self._node.log.read_bytes()[log_start:].decode(errors="replace")
        return all(f"queue '{item['name']}' in vhost '{item['vhost']}': candidate -> leader" in log for item in queues)

    def _configure(self) -> None:
        settings: tuple[str, ...] = (
            f"listeners.tcp.1 = 127.0.0.1:{self.amqp_port}",
            f"stomp.listeners.tcp.1 = 127.0.0.1:{self.stomp_port}",
            "management.tcp.ip = 127.0.0.1",
            f"management.tcp.port = {self.management_port}",
        )
        if self._certificates is not None:
            settings += (
                f"listeners.ssl.1 = 127.0.0.1:{self.amqps_port}",
                f"stomp.listeners.ssl.1 = 127.0.0.1:{self.stomps_port}",
                f"ssl_options.cacertfile = {self._certificates.authority}",
                f"ssl_options.certfile = {self._certificates.chain}",
                f"ssl_options.keyfile = {self._certificates.key}",
            )
        (self._folder / "rabbitmq.conf").write_text("\n".join(settings) + "\n")
        (self._folder / "enabled_plugins").write_text("[rabbitmq_stomp,rabbitmq_management].\n")
        (self._folder / "rabbitmq-env.conf").touch()


def _environment(folder: Path, epmd_port: int, distribution_port: int) -> dict[str, str]:
    """All that the node may know: nothing of this is to come from the machine's own RabbitMQ."""
    arguments = (
        # RabbitMQ's default, to sleep whenever there is nothing to do, doubles the time to start on a virtual machine.
        "+sbwt medium +sbwtdcpu medium +sbwtdio medium",
        "-kernel inet_dist_use_interface {127,0,0,1}",
    )
    return {
        "PATH": os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin")),
        "HOME": str(folder),  # for Erlang's cookie
        "LANG": "C.UTF-8",
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(epmd_port),
        "ERL_FLAGS": "-start_epmd false",
        "ERL_CRASH_DUMP_BYTES": "0",
        "RABBITMQ_NODENAME": "tests@localhost",
        "RABBITMQ_DIST_PORT": str(distribution_port),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_CONFIG_FILES": str(folder / "conf.d"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": " ".join(arguments),
    }
