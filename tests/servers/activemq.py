"""A private ActiveMQ broker with STOMP, as Debian packages it."""

import json
import threading
from typing import Any

import stomp
from stomp.utils import Frame

from tests.servers.broker import PROCESSING_RECIPE, Message
from tests.servers.certificates import PASSWORD, Certificates
from tests.servers.packages import get_program
from tests.servers.processes import ServerProcess, accepts_connections, free_port
from tests.servers.reaper import Reaper

START_TIMEOUT = 60.0  # seconds
STOP_TIMEOUT = 15.0  # seconds
TAKE_TIMEOUT = 20.0  # seconds
HOME = "/usr/share/activemq"
END = "this is the last message"

CONFIGURATION = """\
<beans xmlns="http://www.springframework.org/schema/beans" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xsi:schemaLocation="http://www.springframework.org/schema/beans
  http://www.springframework.org/schema/beans/spring-beans.xsd
  http://activemq.apache.org/schema/core http://activemq.apache.org/schema/core/activemq-core.xsd">
  <broker xmlns="http://activemq.apache.org/schema/core" brokerName="tests" useJmx="false"
    dataDirectory="{folder}/data">
    <plugins>
      <simpleAuthenticationPlugin>
        <users><authenticationUser username="guest" password="guest" groups="users"/></users>
      </simpleAuthenticationPlugin>
    </plugins>
    <persistenceAdapter><kahaDB directory="{folder}/data/kahadb"/></persistenceAdapter>
    <sslContext>
      <sslContext keyStore="file:{keystore}" keyStoreType="PKCS12" keyStorePassword="{password}"/>
    </sslContext>
    <transportConnectors>
      <transportConnector name="stomp" uri="stomp://127.0.0.1:{stomp_port}"/>
      <transportConnector name="stomps" uri="stomp+ssl://127.0.0.1:{stomps_port}"/>
    </transportConnectors>
  </broker>
</beans>
"""


class ActiveMQ:
    """An ActiveMQ broker on ports and data of its own; it knows the user `guest` and no vhosts."""

    def __init__(self, reaper: Reaper, certificates: Certificates) -> None:
        self.stomp_port, self.stomps_port = free_port(), free_port()
        self._certificates = certificates
        self._folder = reaper.new_folder("activemq")
        self._process = ServerProcess("activemq", reaper, self._folder)

    @property
    def running(self) -> bool:
        return self._process.running

    def stomp_url(self, user: str = "guest", password: str = "guest") -> str:
        """The address in the form of the service's setting EM_BROKER__URL."""
        return f"stomp://{user}:{password}@127.0.0.1:{self.stomp_port}"

    def start(self) -> None:
        if self.running:
            return
        configuration = self._folder / "activemq.xml"
        configuration.write_text(
            CONFIGURATION.format(
                folder=self._folder,
                keystore=self._certificates.keystore,
                password=PASSWORD,
                stomp_port=self.stomp_port,
                stomps_port=self.stomps_port,
            )
        )
        (self._folder / "data" / "kahadb" / "lock").unlink(missing_ok=True)  # what a killed broker leaves
        command = [get_program("java"), "-Xmx256m", "-XX:TieredStopAtLevel=1"]
        command += [f"-Dactivemq.{name}={self._folder}" for name in ("base", "conf")]
        command += [f"-Dactivemq.home={HOME}", f"-Dactivemq.data={self._folder}/data"]
        command += ["-jar", get_program(f"{HOME}/bin/activemq.jar"), "start", f"xbean:file:{configuration}"]
        self._process.start(command, {"HOME": str(self._folder), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"})
        self._process.wait_until(
            lambda: accepts_connections(self.stomp_port) and accepts_connections(self.stomps_port),
            START_TIMEOUT,
            "accept connections",
        )

    def stop(self) -> None:
        self._process.terminate(STOP_TIMEOUT)

    def kill(self) -> None:
        """End the broker as a power failure would."""
        self._process.kill()

    def messages(self, queue: str = PROCESSING_RECIPE) -> list[Message]:
        """Take everything that waits in the queue, oldest first: all that comes before a message of our own."""
        connection = stomp.StompConnection12([("127.0.0.1", self.stomp_port)], try_loopback_connect=False)
        taker = _Taker(connection)
        connection.set_listener("taker", taker)
        connection.connect("guest", "guest", wait=False)  # stomp.py's own wait has no end, and one was seen to need it
        try:
            assert taker.connected.wait(TAKE_TIMEOUT), "ActiveMQ does not answer the login"
            # Persistent as the others are: ActiveMQ keeps the order among messages of one kind only.
            connection.send(f"/queue/{queue}", json.dumps(END), headers={"persistent": "true"})
            connection.subscribe(f"/queue/{queue}", id="taker", ack="client-individual")
            assert taker.ended.wait(TAKE_TIMEOUT), f"{queue} has no end"
            connection.unsubscribe(id="taker")
        finally:
            connection.disconnect(receipt="bye")
            taker.gone.wait(TAKE_TIMEOUT)
        return taker.messages


class _Taker(stomp.ConnectionListener):
    """Acknowledges every message up to the last, and those alone."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.messages: list[Message] = []
        self.connected, self.ended, self.gone = threading.Event(), threading.Event(), threading.Event()

    def on_connected(self, frame: Frame) -> None:
        self.connected.set()

    def on_message(self, frame: Frame) -> None:
        self._connection.ack(frame.headers["ack"])
        payload = json.loads(frame.body)
        if payload == END:
            self.ended.set()
            return
        headers = dict(frame.headers)
        properties = {
            "content_type": headers.pop("content-type", None),
            "delivery_mode": 2 if headers.pop("persistent", None) == "true" else 1,
        }
        redelivered = headers.get("redelivered") == "true"
        self.messages.append(Message(payload=payload, headers=headers, properties=properties, redelivered=redelivered))

    def on_disconnected(self) -> None:
        self.gone.set()
