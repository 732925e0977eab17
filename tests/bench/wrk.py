"""The load generator: Debian's wrk, told by a Lua script what to ask, and what to say at the end."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.samples import Sample
from tests.servers.packages import get_program

TIMEOUT = 60  # seconds after which an answer counts as an error
GRACE = 120.0  # seconds that wrk may take to end

# Asks in turn for what stands in `asks`. An ask whose path has %d in it takes the next of `ids` each time, so that no
# two of them are about the same thing; when they run out, wrk ends. It does so after a last one on each connection.
SCRIPT = """\
local asks, ids = {{ {asks} }}, {{ {ids} }}
local turn, taken = 0, 0

function request()
    turn = turn + 1
    local ask = asks[(turn - 1) % #asks + 1]
    if ask.fresh then
        taken = taken + 1
        if taken >= #ids - {reserve} then wrk.thread:stop() end
        return wrk.format(ask.method, string.format(ask.path, ids[math.min(taken, #ids)]), ask.headers, ask.body)
    end
    ask.text = ask.text or wrk.format(ask.method, ask.path, ask.headers, ask.body)
    return ask.text
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        '{{"requests": %d, "bytes": %d, "microseconds": %d, "p50": %d, "p99": %d, "refused": %d, "broken": %d}}\\n',
        summary.requests, summary.bytes, summary.duration, latency:percentile(50), latency:percentile(99),
        errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
"""


@dataclass(frozen=True)
class Ask:
    """One request. A ``%d`` in the path stands for something that no other request is about."""

    path: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None

    @property
    def fresh(self) -> bool:
        return "%d" in self.path

    def lua(self) -> str:
        """As Lua writes it down."""
        headers = ", ".join(f"[ {_quoted(name)} ]={_quoted(value)}" for name, value in self.headers.items())
        body = "nil" if self.body is None else _quoted(self.body)
        fresh = "true" if self.fresh else "false"
        return (
            f"{{ path={_quoted(self.path)}, method={_quoted(self.method)}, headers={{ {headers} }}, "
            f"body={body}, fresh={fresh} }}"
        )


def script(asks: Sequence[Ask], ids: Sequence[int], connections: int) -> str:
    """What wrk is to do."""
    lines = ",\n".join(ask.lua() for ask in asks)
    return SCRIPT.format(asks=lines, ids=", ".join(map(str, ids)), reserve=connections)


def measure(
    folder: Path, port: int, asks: Sequence[Ask], *, connections: int, seconds: float, ids: Sequence[int] = ()
) -> Sample:
    """Ask as fast as answers come, on so many connections.

    Args:
        ids: for asks with ``%d``; the script ends early when they are used up.
    """
    lua = folder / "asks.lua"
    lua.write_text(script(asks, ids, connections))
    # One thread asks for ten times what the service can answer, and keeps the turn among all connections.
    command = [get_program("wrk"), "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", f"--timeout={TIMEOUT}s"]
    command += ["-s", str(lua), f"http://127.0.0.1:{port}"]
    finished = subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=seconds + GRACE, check=True
    )
    return read(finished.stdout)


def read(output: str) -> Sample:
    """What the script has said at the end of wrk's own words."""
    said: Mapping[str, Any] = json.loads(output.strip().splitlines()[-1])
    requests, milliseconds = int(said["requests"]), said["microseconds"] / 1000
    if not requests:  # whoever asked waited as long as that, and in vain
        return Sample(rate=0.0, p50=milliseconds, p99=milliseconds, requests=0, errors=max(1, int(said["broken"])))
    return Sample(
        rate=requests / milliseconds * 1000,
        p50=said["p50"] / 1000,
        p99=said["p99"] / 1000,
        requests=requests,
        errors=int(said["refused"] + said["broken"]),
        size=said["bytes"] / requests,
    )


def _quoted(text: str) -> str:
    """A text for Lua, whose long brackets take anything."""
    level = "="
    while f"]{level}]" in f"{text}]":
        level += "="
    # A first line feed would be dropped.
    return f"[{level}[\n{text}]{level}]"
