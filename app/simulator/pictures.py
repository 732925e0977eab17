"""Small grey pictures as PNG, drawn so that one can tell what they stand for; the same for the same seed."""

from __future__ import annotations

import math
import random
import struct
import zlib
from collections.abc import Sequence

SIDE = 64  # pixels
CENTRE = (SIDE - 1) / 2
BLACK, WHITE = 0, 255


def micrograph(seed: str, *, picks: int = 0) -> bytes:
    """Noise, with circles around so many particles."""
    chance = random.Random(seed)
    pixels = bytearray(chance.randbytes(SIDE * SIDE))
    for _ in range(picks):
        x, y, radius = chance.uniform(6, SIDE - 7), chance.uniform(6, SIDE - 7), 4
        for step in range(24):
            angle = math.tau * step / 24
            pixels[round(y + radius * math.sin(angle)) * SIDE + round(x + radius * math.cos(angle))] = WHITE
    return _png(pixels)


def power_spectrum(seed: str) -> bytes:
    """The rings that defocus makes, fading outwards."""
    chance = random.Random(seed)
    spacing = chance.uniform(0.015, 0.05)
    rings = [
        128 + 127 * math.cos(spacing * square) * math.exp(-square / 700) for square in range(2 * (SIDE // 2) ** 2 + 1)
    ]
    noise = chance.randbytes(SIDE * SIDE)
    pixels = bytearray()
    for y in range(SIDE):
        for x in range(SIDE):
            ring = rings[(x - SIDE // 2) ** 2 + (y - SIDE // 2) ** 2]
            pixels.append(int(0.8 * ring + 0.2 * noise[y * SIDE + x]))
    return _png(pixels)


def class_average(seed: str) -> bytes:
    """A few soft lumps within RELION's round mask."""
    chance = random.Random(seed)
    lumps = []
    for _ in range(5):
        angle, distance, width = chance.uniform(0, math.tau), chance.uniform(0, 14), chance.uniform(4, 9)
        lumps.append(
            (
                _bell(CENTRE + distance * math.cos(angle), width),
                _bell(CENTRE + distance * math.sin(angle), width),
                chance.uniform(70, 150),
            )
        )
    pixels = bytearray()
    for y in range(SIDE):
        for x in range(SIDE):
            if math.hypot(x - CENTRE, y - CENTRE) > CENTRE:
                pixels.append(BLACK)
                continue
            density = 30.0
            for across, down, strength in lumps:
                density += strength * across[x] * down[y]
            pixels.append(min(WHITE, int(density)))
    return _png(pixels)


def _bell(middle: float, width: float) -> list[float]:
    return [math.exp(-(((position - middle) / width) ** 2)) for position in range(SIDE)]


def _png(pixels: Sequence[int]) -> bytes:
    rows = b"".join(b"\0" + bytes(pixels[start : start + SIDE]) for start in range(0, len(pixels), SIDE))

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
