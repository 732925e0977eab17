"""Connections to a broker's port, with TLS where the settings ask for it; certificates are always checked."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from pathlib import Path
from time import monotonic

from app.settings import BrokerAddress

SHORTEST = 0.1  # seconds that a look takes at least
PAUSE = 0.02  # seconds


class TlsSocket:
    """A TLS connection that one thread may read while another writes.

    OpenSSL allows only one call at a time for a connection, so none of them may wait for the network.
    """

    def __init__(self, connection: ssl.SSLSocket, timeout: float) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._number = connection.fileno()
        self._timeout = timeout
        self._lock = threading.Lock()

    def recv(self, most: int) -> bytes:
        """Wait for data; nothing when the other side has closed."""
        while True:
            try:
                with self._lock:
                    return self._connection.recv(most)
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN)
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT)

    def sendall(self, data: bytes) -> None:
        """Write all of it, or raise ``TimeoutError``."""
        deadline = monotonic() + self._timeout
        while data:
            if monotonic() > deadline:
                raise TimeoutError("the broker reads nothing")
            try:
                with self._lock:
                    sent = self._connection.send(data)
                data = data[sent:]
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN, PAUSE)  # the reading thread may have read it meanwhile
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT, max(0.0, deadline - monotonic()))

    def _wait(self, event: int, seconds: float | None = None) -> None:
        poll = select.poll()  # not select.select, which takes no numbers above 1023
        poll.register(self._number, event)
        poll.poll(None if seconds is None else 1000 * seconds)

    def shutdown(self, how: int) -> None:
        """End both directions, so that a thread that waits to read comes back; TLS itself is told nothing."""
        socket.socket.shutdown(self._connection, how)

    def close(self) -> None:
        """Give the port back."""
        self._connection.close()

    def getsockname(self) -> object:
        """Our side's address; an ``OSError`` once it is closed."""
        return self._connection.getsockname()

    def settimeout(self, _seconds: float | None) -> None:
        """It waits in its own way."""

    def setblocking(self, _blocking: bool) -> None:
        """It waits in its own way."""


def connect(address: BrokerAddress, ca_file: Path | None, timeout: float) -> socket.socket | TlsSocket:
    """Connect within so many seconds.

    Raises:
        OSError: nobody answers, or not in TLS, or with a certificate that is not to be trusted.
    """
    deadline = monotonic() + timeout
    plain = socket.create_connection((address.host, address.port), timeout)
    if not address.tls:
        plain.settimeout(None)
        return plain
    try:
        plain.settimeout(max(SHORTEST, deadline - monotonic()))
        return TlsSocket(context(ca_file).wrap_socket(plain, server_hostname=address.host), timeout)
    except TimeoutError:
        plain.close()
        raise TimeoutError("no answer in TLS; is that its plain-text port?") from None
    except BaseException:
        plain.close()
        raise


def context(ca_file: Path | None) -> ssl.SSLContext:
    """TLS 1.2 or later; the certificate must be the host's, and signed by whom we trust."""
    return ssl.create_default_context(cafile=ca_file)


def told(error: BaseException) -> str:
    """Why there is no connection."""
    if isinstance(error, ssl.SSLCertVerificationError):
        advice = "" if "ismatch" in error.verify_message else ": name its authority's file in EM_BROKER__CA_FILE"
        return f"its certificate is refused, {error.verify_message.rstrip('.')}{advice}"
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "no reason given").lower().replace("_", " ")
        return f"it does not answer in TLS ({reason}); is that its plain-text port?"
    return str(error) or type(error).__name__


def speaks_tls(address: BrokerAddress, timeout: float) -> bool:
    """Whether a port to which we spoke in plain text wants TLS. Only a handshake is tried, nothing is said."""
    try:
        with socket.create_connection((address.host, address.port), max(SHORTEST, timeout)) as plain:
            with context(None).wrap_socket(plain, server_hostname=address.host):
                return True
    except ssl.SSLCertVerificationError:
        return True
    except OSError:
        return False
