"""Reads the pictures that the service serves, as a browser would, and complains like one."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_png(path: str | Path) -> tuple[int, int]:
    """Width and height of a grey picture in which nothing is wrong."""
    content = Path(path).read_bytes()
    assert content.startswith(SIGNATURE), path
    chunks, position = [], len(SIGNATURE)
    while position < len(content):
        (length,) = struct.unpack_from(">I", content, position)
        name, data = content[position + 4 : position + 8], content[position + 8 : position + 8 + length]
        assert struct.unpack_from(">I", content, position + 8 + length) == (zlib.crc32(name + data),), path
        chunks.append((name, data))
        position += 12 + length
    assert [name for name, _ in chunks] == [b"IHDR", b"IDAT", b"IEND"], path
    width, height, *kind = struct.unpack(">IIBBBBB", chunks[0][1])
    assert kind == [8, 0, 0, 0, 0], path
    assert len(zlib.decompress(chunks[1][1])) == height * (width + 1), path
    return width, height
