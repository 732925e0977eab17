"""The figures as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.bench.results import Found, Measured, Results
from tests.bench.samples import Sample
from tests.bench.sizes import AT_ONCE
from tests.bench.targets import targets

BEGIN, END = "<!-- figures: written by the bench -->", "<!-- end of the figures -->"
GROWTH_BEGIN, GROWTH_END = "<!-- growth: written by the whole bench -->", "<!-- end of growth -->"
EMPTY = f"""\
# How fast it is

{BEGIN}
{END}

{GROWTH_BEGIN}
{GROWTH_END}
"""

INTRODUCTION = """\
Written by `make {command}`. The service runs as `synchweb-em serve --workers 2` with tokens; MariaDB, RabbitMQ and the
load generator (wrk) share the machine with it. Times are milliseconds. *SQL* is the limit that MariaDB sets: the same
statements through the same driver without HTTP, in as many processes as workers, on as many connections. *Frame* is
FastAPI's limit: a bare route under the same server that answers the same bytes. Beside each limit stands what part of
it is reached. *First byte* is that of the body, one request after the other on connections of their own. Polls share
one look a second; *fresh* is what is left where each is looked for anew (`EM_SHARE_SECONDS=0`). *Before* is the run
before this one: answers a second, p50 / p99."""


def write(path: Path, results: Results, before: Results | None) -> str:
    """Put the tables into the page, whose other words stay; the tables."""
    page = path.read_text() if path.exists() else EMPTY
    figures = tables(results, before)
    page = _put(page, BEGIN, END, figures)
    if len(results.sizes) > 1:
        grown = growth(results)
        page = _put(page, GROWTH_BEGIN, GROWTH_END, grown)
        figures = f"{figures}\n\n{grown}"
    path.write_text(page)
    return figures


def _put(page: str, begin: str, end: str, text: str) -> str:
    if begin not in page or end not in page:
        return f"{page.rstrip()}\n\n{begin}\n{text}\n{end}\n"
    head, _, rest = page.partition(begin)
    return f"{head}{begin}\n\n{text}\n\n{end}{rest.partition(end)[2]}"


def tables(results: Results, before: Results | None) -> str:
    """Everything about the whole size."""
    found, old = results.whole, None if before is None else before.whole
    rows = ", ".join(f"{number:,} rows of {table}" for table, number in found.rows.items())
    machine = [f"- {name}: {text}" for name, text in results.machine.items()]
    runs = "one run" if results.runs == 1 else f"medians of {results.runs} runs"
    return "\n\n".join(
        [
            INTRODUCTION.format(command=results.command),
            "\n".join([*machine, f"- {rows}, loaded in {found.load_seconds:.0f} s", f"- {results.when}, {runs}"]),
            f"## What was promised\n\n{_targets(found)}",
            f"## Beside the limits, on {AT_ONCE} connections\n\n{_operations(found, old)}",
            f"## Launches\n\n{_launches(found, old)}",
            f"## More and fewer connections\n\n{_connections(found)}",
            f"## Memory and start\n\n{_memory(found, old)}",
        ]
    )


def growth(results: Results) -> str:
    """How figures change with the size."""
    sizes = results.sizes
    heads = [f"{one.rows.get('DataCollection', 0):,}" for one in sizes]
    per_query = [
        [f"`{cost.name}`", f"{cost.rows:,}", *(_cost(one, cost.name) for one in sizes), _factor(results, cost.name)]
        for cost in sizes[-1].costs
    ]
    rates = [[measured.name, *(_rate_at(one, measured.name) for one in sizes)] for measured in results.whole.operations]
    return "\n\n".join(
        [
            "## Growth",
            "The program with many movies is as large in each. Data collections, and answers a second on "
            f"{AT_ONCE} connections:",
            _table(["", *heads], rates),
            "Each question to the database by itself, in milliseconds, with the rows that it returns and how much "
            "longer it takes at the largest than at the smallest size:",
            _table(["question", "rows", *heads, "growth"], per_query),
        ]
    )


def _targets(found: Found) -> str:
    words = {True: "met", False: "**not met**", None: "not measured"}
    return _table(
        ["", "at least", "measured", ""],
        [[one.what, one.promised, one.measured, words[one.met]] for one in targets(found)],
    )


def _operations(found: Found, old: Found | None) -> str:
    rows = []
    for one in found.operations:
        sample = one.samples.get(AT_ONCE)
        if sample is None:
            continue
        previous = None if old is None else old.find(one.name)
        rows.append(
            [
                one.name,
                f"{sample.rate:,.0f}",
                f"{sample.p50:.1f}",
                f"{sample.p99:.1f}",
                "" if one.first_byte is None else f"{one.first_byte:.1f}",
                *_fresh(one),
                _size(sample.size),
                *_limit(sample, one.sql),
                *_limit(sample, one.frame),
                "" if previous is None else _short(previous.samples.get(AT_ONCE)),
            ]
        )
    heads = ["", "answers/s", "p50", "p99", "first byte", "fresh/s", "fresh p50", "bytes"]
    out = _table([*heads, "SQL/s", "", "frame/s", "", "before"], rows)
    files = [
        f"nginx sends the same file {one.nginx.rate:,.0f} times a second on {AT_ONCE} connections; the service reaches "
        f"{one.samples[AT_ONCE].rate / one.nginx.rate:.0%} of that ({one.name})."
        for one in found.operations
        if one.nginx is not None
    ]
    return "\n\n".join([out, *files])


def _fresh(measured: Measured) -> tuple[str, str]:
    sample = measured.fresh.get(AT_ONCE)
    return ("", "") if sample is None else (f"{sample.rate:,.0f}", f"{sample.p50:.1f}")


def _launches(found: Found, old: Found | None) -> str:
    launches = found.launches
    previous = None if old is None else old.launches
    rows = [
        ["one after the other", *_figures(launches.alone), *_beside(launches.alone, launches.bare_alone)],
        [f"{AT_ONCE} at once", *_figures(launches.at_once), *_beside(launches.at_once, launches.bare_at_once)],
    ]
    for row, sample in zip(rows, (None, None) if previous is None else (previous.alone, previous.at_once), strict=True):
        row.append(_short(sample))
    arrivals = [
        [
            "one after the other",
            *_figures(launches.arrival_alone),
            _short(None if previous is None else previous.arrival_alone),
        ],
        [
            f"{AT_ONCE} at once",
            *_figures(launches.arrival_at_once),
            _short(None if previous is None else previous.arrival_at_once),
        ],
    ]
    return "\n\n".join(
        [
            _table(["", "launches/s", "p50", "p99", "errors", "bare/s", "", "bare p50", "before"], rows),
            "*Bare* is the launch's own SQL with its commits, without HTTP and files. And from the row in the outbox, "
            "before its commit, to a consumer of Zocalo's queue:",
            _table(["", "messages/s", "p50", "p99", "errors", "before"], arrivals),
        ]
    )


def _connections(found: Found) -> str:
    numbers = sorted({number for one in found.operations for number in one.samples})
    rows = [
        [one.name, *(_short(one.samples.get(number)) for number in numbers)] for one in found.operations if one.samples
    ]
    return "\n\n".join(
        [
            "Answers a second, p50 / p99, and errors if there were any.",
            _table(["", *(f"{number} connection{'s' if number > 1 else ''}" for number in numbers)], rows),
        ]
    )


def _memory(found: Found, old: Found | None) -> str:
    def most(one: Found) -> list[str]:
        return [
            f"{max(memory.resident for memory in one.idle):.0f} MB",
            f"{max(memory.resident for memory in one.loaded):.0f} MB",
            f"{max(memory.peak for memory in one.loaded):.0f} MB",
            f"{max(memory.peak for memory in one.fresh):.0f} MB" if one.fresh else "",
            f"{one.start_seconds:.2f} s",
        ]

    rows = [["now", *most(found)]] + ([] if old is None else [["before", *most(old)]])
    heads = ["of the larger worker", "idle", "after the load", "at most", "at most, fresh", "start to first answer"]
    return _table(heads, rows)


def _limit(sample: Sample, limit: Sample | None) -> tuple[str, str]:
    return ("", "") if limit is None or not limit.rate else (f"{limit.rate:,.0f}", f"{sample.rate / limit.rate:.0%}")


def _beside(sample: Sample, bare: Sample) -> list[str]:
    return [*_limit(sample, bare), f"{bare.p50:.1f}"]


def _figures(sample: Sample) -> list[str]:
    return [f"{sample.rate:,.0f}", f"{sample.p50:.1f}", f"{sample.p99:.1f}", str(sample.errors)]


def _rate(sample: Sample | None) -> str:
    return "" if sample is None else f"{sample.rate:,.0f}"


def _rate_at(found: Found, name: str) -> str:
    measured = found.find(name)
    return "" if measured is None else _rate(measured.samples.get(AT_ONCE))


def _short(sample: Sample | None) -> str:
    if sample is None:
        return ""
    errors = f", {sample.errors} errors" if sample.errors else ""
    return f"{sample.rate:,.0f}: {sample.p50:.1f} / {sample.p99:.1f}{errors}"


def _cost(found: Found, name: str) -> str:
    return next((f"{cost.milliseconds:.2f}" for cost in found.costs if cost.name == name), "")


def _factor(results: Results, name: str) -> str:
    costs = [cost.milliseconds for one in (results.sizes[0], results.whole) for cost in one.costs if cost.name == name]
    return f"{costs[1] / costs[0]:.1f}×" if len(costs) == 2 and costs[0] else ""


def _size(number: float) -> str:
    return f"{number / 1e6:.1f} M" if number >= 1e6 else f"{number / 1000:.1f} k" if number >= 1000 else f"{number:.0f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown; numbers stand on the right."""
    line = "|---|" + "---:|" * (len(heads) - 1)
    return "\n".join([_line(heads), line, *(_line(row) for row in rows)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
