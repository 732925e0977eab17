"""What was promised beside what was measured."""

from __future__ import annotations

from dataclasses import replace

from tests.bench.results import Found
from tests.bench.serving import Memory
from tests.bench.targets import targets
from tests.unit.bench.made import found, measured, sample


def fate(made: Found) -> dict[str, bool | None]:
    return {target.what: target.met for target in targets(made)}


def test_a_rate_is_met_or_not_and_what_was_not_measured_is_neither() -> None:
    made = found(measured("dc/:id", 1000.0), measured("status of a running job", 999.0))

    met = fate(made)

    assert met["dc/:id"] is True
    assert met["status of a running job"] is False
    assert met["jobs/:id, 7 jobs"] is None


def test_a_rate_with_errors_is_not_met() -> None:
    made = found(measured("dc/:id", samples={8: sample(5000.0, errors=1)}))

    assert fate(made)["dc/:id"] is False


def test_a_series_is_compared_with_its_raw_query_and_its_first_byte_with_a_tenth_of_a_second() -> None:
    series = measured(
        "ctf/summary, 50,000 rows",
        samples={1: sample(p50=3), 8: sample(16.0)},
        fresh={1: sample(p50=300)},
        sql_alone=sample(p50=160),
        first_byte=1.0,
        fresh_first_byte=101.0,
    )

    met = fate(found(series))

    assert met["ctf/summary, 50,000 rows"] is True
    assert met["ctf/summary, 50,000 rows: beside the raw query"] is True
    assert met["ctf/summary, 50,000 rows: first byte"] is False


def test_a_launch_is_compared_with_its_bare_transaction() -> None:
    made = found()
    slow = replace(made.launches, alone=sample(p50=9.0, p99=41.0), bare_alone=sample(p50=4.0), at_once=sample(149.0))

    met = fate(replace(made, launches=slow))

    assert met["launch, p50 beside the bare transaction"] is False
    assert met["launch, p99"] is False
    assert met["launch, 8 at once"] is False
    assert met["launch to broker, p50"] is True


def test_with_many_connections_every_operation_counts() -> None:
    crowd = [
        measured("dc/:id", samples={8: sample(), 256: sample(p99=100)}),
        measured("image", samples={8: sample(), 256: sample(p99=2500, errors=3)}),
    ]
    made = found(*crowd, loaded=[Memory(100, 150), Memory(100, 201)])

    said = {target.what: (target.measured, target.met) for target in targets(made)}

    assert said["256 connections: errors"] == ("3", False)
    assert said["256 connections: slowest p99"] == ("2.50 s (image)", False)
    assert said["memory of a worker, at most"] == ("201 MB", False)
