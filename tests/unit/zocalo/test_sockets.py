"""Connections with TLS: who may be trusted, and two threads on one connection."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from app.settings import BrokerAddress
from app.zocalo.transport import sockets
from app.zocalo.transport.sockets import TlsSocket
from tests.servers.certificates import Certificates


class Server:
    """One TLS connection after another on 127.0.0.1; what a client writes is sent back in capitals."""

    def __init__(self, certificates: Certificates) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.chain, certificates.key)
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.reads = True
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            with plain:
                plain.settimeout(5)
                try:
                    with self._context.wrap_socket(plain, server_side=True) as connection:
                        self._echo(connection)
                except OSError:
                    pass  # a client that trusts us not, or has gone

    def _echo(self, connection: ssl.SSLSocket) -> None:
        while not self.reads:
            time.sleep(0.02)
        while (data := connection.recv(65536)) and data != b"bye":
            connection.sendall(data.upper())


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def server(certificates: Certificates) -> Iterator[Server]:
    server = Server(certificates)
    yield server
    server.reads = True
    server.close()


def address(port: int, host: str = "127.0.0.1", *, tls: bool = True) -> BrokerAddress:
    return BrokerAddress(host=host, port=port, user="em", password=SecretStr("x"), vhost="/", tls=tls)


def connected(server: Server, certificates: Certificates, timeout: float = 5) -> TlsSocket:
    connection = sockets.connect(address(server.port), certificates.authority, timeout)
    assert isinstance(connection, TlsSocket)
    return connection


def received(connection: TlsSocket, many: int) -> bytes:
    data = b""
    while len(data) < many:
        more = connection.recv(65536)
        assert more, "the connection has ended"
        data += more
    return data


def test_who_is_signed_by_the_authority_is_trusted(server: Server, certificates: Certificates) -> None:
    connection = connected(server, certificates)

    connection.sendall(b"hello")

    assert received(connection, 5) == b"HELLO"
    connection.close()


def test_an_unknown_authority_is_refused_and_the_setting_named(server: Server) -> None:
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        sockets.connect(address(server.port), None, 5)

    assert "its certificate is refused" in sockets.told(caught.value)
    assert "EM_BROKER__CA_FILE" in sockets.told(caught.value)


def test_a_certificate_of_another_host_is_refused(server: Server, certificates: Certificates) -> None:
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        sockets.connect(address(server.port, "localhost"), certificates.authority, 5)

    assert "not valid for 'localhost'" in sockets.told(caught.value)
    assert "EM_BROKER__CA_FILE" not in sockets.told(caught.value)


def test_a_port_that_never_answers_in_tls_is_left_in_time(certificates: Certificates) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        with pytest.raises(OSError, match="no answer in TLS"):
            sockets.connect(address(silent.getsockname()[1]), certificates.authority, 0.3)

    assert time.monotonic() - begun < 2


def test_a_tls_port_is_known_though_its_certificate_is_not(server: Server) -> None:
    assert sockets.speaks_tls(address(server.port, tls=False), 5) is True


def test_a_port_without_tls_is_not_taken_for_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert sockets.speaks_tls(address(silent.getsockname()[1], tls=False), 0.2) is False


def test_one_thread_reads_while_another_writes(server: Server, certificates: Certificates) -> None:
    connection = connected(server, certificates)
    chunks = [bytes([97 + number % 26]) * 5000 for number in range(200)]
    whole: list[bytes] = []
    reader = threading.Thread(target=lambda: whole.append(received(connection, 5000 * 200)))
    reader.start()

    for chunk in chunks:
        connection.sendall(chunk)
    reader.join(20)

    assert whole == [b"".join(chunks).upper()]
    connection.close()


def test_a_reader_is_told_that_the_other_side_has_gone(server: Server, certificates: Certificates) -> None:
    connection = connected(server, certificates)
    connection.sendall(b"bye")

    assert connection.recv(100) == b""
    connection.close()


def test_a_shutdown_wakes_a_reader(server: Server, certificates: Certificates) -> None:
    """stomp.py ends its reading thread so."""
    connection = connected(server, certificates)
    ended: list[bytes] = []

    def read() -> None:
        try:
            ended.append(connection.recv(100))
        except OSError:
            ended.append(b"")

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(0.1)

    connection.shutdown(socket.SHUT_RDWR)
    reader.join(5)

    assert ended == [b""]
    connection.close()


def test_writing_to_a_side_that_reads_nothing_ends_in_time(server: Server, certificates: Certificates) -> None:
    server.reads = False
    connection = connected(server, certificates, timeout=0.5)
    begun = time.monotonic()

    with pytest.raises(TimeoutError, match="the broker reads nothing"):
        connection.sendall(b"x" * 50_000_000)

    assert time.monotonic() - begun < 5
    connection.close()


def test_plain_text_stays_plain() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = sockets.connect(address(listener.getsockname()[1], tls=False), None, 5)
        accepted, _ = listener.accept()
        connection.sendall(b"hello")

        assert accepted.recv(100) == b"hello"
        assert not isinstance(connection, TlsSocket)
        connection.close()
        accepted.close()
