"""A broker that is there and says nothing, as a frozen one does."""

import selectors
import socket
import threading
from contextlib import suppress

from tests.servers.processes import free_port


class SilentBroker:
    """Accepts connections on 127.0.0.1, reads what comes, and never answers."""

    def __init__(self) -> None:
        self.port = free_port()
        self.connections = 0  # accepted so far
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def stomp_url(self, vhost: str, user: str = "guest", password: str = "guest") -> str:
        return f"stomp://{user}:{password}@127.0.0.1:{self.port}?vhost={vhost}"

    def start(self) -> None:
        # Listening before the thread runs: who calls start() may connect at once.
        listener = socket.create_server(("127.0.0.1", self.port))
        self._stopping.clear()
        self._thread = threading.Thread(target=self._listen, args=(listener,), name="silent-broker", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the port and every connection."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
            self._thread = None

    def _listen(self, listener: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            while not self._stopping.is_set():
                for key, _events in selector.select(timeout=0.05):
                    assert isinstance(key.fileobj, socket.socket)
                    if key.fileobj is listener:
                        connection, _address = listener.accept()
                        self.connections += 1
                        selector.register(connection, selectors.EVENT_READ)
                    elif not _read(key.fileobj):
                        selector.unregister(key.fileobj)
                        key.fileobj.close()
            for key in list(selector.get_map().values()):
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.close()


def _read(connection: socket.socket) -> bytes:
    """Whatever has arrived; nothing when the other side has gone."""
    with suppress(OSError):
        return connection.recv(65536)
    return b""
