"""What the service has promised, beside what was measured."""

from __future__ import annotations

from dataclasses import dataclass

from tests.bench.results import Found, Launches, Measured
from tests.bench.sizes import AT_ONCE

MOST = 256  # connections at which nothing may break

# Answers a second on eight connections.
RATES = {
    "jobs/:id, 7 jobs": 1000,
    "jobs/:id, 7 jobs, unchanged": 3000,
    "jobs/:id, one job": 500,
    "dc/:id": 1000,
    "status of a running job": 1000,
    "ctf/summary, 50,000 rows": 15,
    "one CTF row": 800,
}


@dataclass(frozen=True)
class Target:
    """One promise.

    Args:
        met: ``None`` where it was not measured.
    """

    what: str
    promised: str
    measured: str
    met: bool | None


def targets(found: Found) -> list[Target]:
    """All of them."""
    out = [_rate(found.find(name), name, least) for name, least in RATES.items()]
    out += _of_series(found.find("ctf/summary, 50,000 rows"))
    out += _of_launches(found.launches)
    out += _of_crowds(found)
    seconds = found.start_seconds
    out.append(Target("start-up, to the first answer", "under 2 s", f"{seconds:.1f} s", seconds < 2))
    return out


def _rate(measured: Measured | None, name: str, least: int) -> Target:
    promised = f"{least:,}/s"
    sample = None if measured is None else measured.samples.get(AT_ONCE)
    if sample is None:
        return Target(name, promised, "not there", None)
    errors = f", {sample.errors} errors" if sample.errors else ""
    fresh = None if measured is None else measured.fresh.get(AT_ONCE)
    alone = "" if fresh is None else f" ({fresh.rate:,.0f}/s fresh)"
    return Target(name, promised, f"{sample.rate:,.0f}/s{alone}{errors}", sample.rate >= least and not sample.errors)


def _of_series(measured: Measured | None) -> list[Target]:
    """Of an answer that is looked for anew: one that is shared has no raw query beside it."""
    if measured is None or measured.fresh_first_byte is None or measured.sql_alone is None:
        return []
    first, alone, raw = measured.fresh_first_byte, measured.fresh[1].p50, measured.sql_alone.p50
    return [
        Target(f"{measured.name}: first byte", "in 100 ms", f"{first:.0f} ms", first <= 100),
        Target(
            f"{measured.name}: beside the raw query",
            "at most 2×",
            f"{alone / raw:.1f}× ({alone:.0f} ms, {raw:.0f} ms)",
            alone <= 2 * raw,
        ),
    ]


def _of_launches(launches: Launches) -> list[Target]:
    alone, bare, arrival = launches.alone, launches.bare_alone, launches.arrival_alone
    rate = launches.at_once.rate
    return [
        Target(
            "launch, p50 beside the bare transaction",
            "at most 2×",
            f"{alone.p50 / bare.p50:.1f}× ({alone.p50:.1f} ms, {bare.p50:.1f} ms)",
            alone.p50 <= 2 * bare.p50 and not alone.errors,
        ),
        Target("launch, p99", "under 40 ms", f"{alone.p99:.1f} ms", alone.p99 < 40),
        Target("launch, 8 at once", "150/s", f"{rate:,.0f}/s", rate >= 150 and not launches.at_once.errors),
        Target("launch to broker, p50", "under 20 ms", f"{arrival.p50:.1f} ms", arrival.p50 < 20),
        Target("launch to broker, p99", "under 100 ms", f"{arrival.p99:.1f} ms", arrival.p99 < 100),
    ]


def _of_crowds(found: Found) -> list[Target]:
    """With very many connections, whatever they ask."""
    crowds = [(one.name, one.samples[MOST]) for one in found.operations if MOST in one.samples]
    if not crowds:
        return []
    errors = sum(sample.errors for _, sample in crowds)
    slowest, worst = max(crowds, key=lambda crowd: crowd[1].p99)
    peak = max(memory.peak for memory in (*found.loaded, *found.fresh))
    return [
        Target(f"{MOST} connections: errors", "none", str(errors), errors == 0),
        Target(
            f"{MOST} connections: slowest p99", "under 2 s", f"{worst.p99 / 1000:.2f} s ({slowest})", worst.p99 < 2000
        ),
        Target("memory of a worker, at most", "under 200 MB", f"{peak:.0f} MB", peak < 200),
    ]
