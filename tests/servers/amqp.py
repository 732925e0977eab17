"""As much of AMQP 0-9-1 as it takes to ask a queue for its length.

The management API knows lengths only from what queues report now and then. Declaring a queue passively, that is only if
it exists, asks the queue itself.
"""

import socket
import struct
from typing import BinaryIO

TIMEOUT = 10.0  # seconds

# Methods as (class, method), named as in the specification.
CONNECTION_START = (10, 10)
CONNECTION_START_OK = (10, 11)
CONNECTION_TUNE = (10, 30)
CONNECTION_TUNE_OK = (10, 31)
CONNECTION_OPEN = (10, 40)
CONNECTION_OPEN_OK = (10, 41)
CONNECTION_CLOSE = (10, 50)
CONNECTION_CLOSE_OK = (10, 51)
CHANNEL_OPEN = (20, 10)
CHANNEL_OPEN_OK = (20, 11)
CHANNEL_CLOSE = (20, 40)
QUEUE_DECLARE = (50, 10)
QUEUE_DECLARE_OK = (50, 11)

METHOD_FRAME = 1
FRAME_END = b"\xce"
NOT_FOUND = 404
PASSIVE = b"\x01"
EMPTY_TABLE = b"\x00\x00\x00\x00"


def count_ready(port: int, vhost: str, queue: str, user: str = "guest", password: str = "guest") -> int:
    """How many messages of a queue wait to be delivered; raises LookupError if there is no such queue."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as broker, broker.makefile("rb") as answers:
        broker.sendall(b"AMQP\x00\x00\x09\x01")
        _receive(answers, CONNECTION_START)
        login = f"\0{user}\0{password}".encode()
        response = EMPTY_TABLE + _short("PLAIN") + struct.pack(">I", len(login)) + login + _short("en_US")
        broker.sendall(_frame(0, CONNECTION_START_OK, response))
        channels, frame_size, _heartbeat = struct.unpack(">HIH", _receive(answers, CONNECTION_TUNE))
        broker.sendall(_frame(0, CONNECTION_TUNE_OK, struct.pack(">HIH", channels, frame_size, 0)))
        broker.sendall(_frame(0, CONNECTION_OPEN, _short(vhost) + _short("") + b"\0"))
        _receive(answers, CONNECTION_OPEN_OK)
        broker.sendall(_frame(1, CHANNEL_OPEN, _short("")))
        _receive(answers, CHANNEL_OPEN_OK)
        broker.sendall(_frame(1, QUEUE_DECLARE, b"\0\0" + _short(queue) + PASSIVE + EMPTY_TABLE))
        declared = _receive(answers, QUEUE_DECLARE_OK)
        ready, _consumers = struct.unpack(">II", declared[-8:])
        # RabbitMQ logs a warning about a client that leaves without a word.
        broker.sendall(_frame(0, CONNECTION_CLOSE, struct.pack(">H", 200) + _short("") + struct.pack(">HH", 0, 0)))
        _receive(answers, CONNECTION_CLOSE_OK)
        return int(ready)


def _frame(channel: int, method: tuple[int, int], arguments: bytes) -> bytes:
    payload = struct.pack(">HH", *method) + arguments
    return struct.pack(">BHI", METHOD_FRAME, channel, len(payload)) + payload + FRAME_END


def _receive(answers: BinaryIO, expected: tuple[int, int]) -> bytes:
    """The arguments of the method that comes next."""
    header = answers.read(7)
    if len(header) < 7:
        raise ConnectionError("the broker closed the connection")
    _type, _channel, size = struct.unpack(">BHI", header)
    payload = answers.read(size + len(FRAME_END))
    method, arguments = struct.unpack(">HH", payload[:4]), payload[4:-1]
    if method == CHANNEL_CLOSE and struct.unpack(">H", arguments[:2]) == (NOT_FOUND,):
        raise LookupError(arguments[3 : 3 + arguments[2]].decode())
    if method != expected:
        raise ConnectionError(f"the broker sent method {method} instead of {expected}: {arguments!r}")
    return arguments


def _short(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">B", len(data)) + data
