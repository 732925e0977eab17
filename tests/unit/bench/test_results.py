"""Figures kept for the next run, and those of several runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import results as module
from tests.bench.serving import Memory
from tests.unit.bench.made import found, measured, results, sample


def test_the_next_run_finds_what_this_one_kept(tmp_path: Path) -> None:
    kept = tmp_path / "var" / "bench.json"
    operation = measured(samples={1: sample(5.0), 256: sample(7.0)}, sql=sample(9.0), first_byte=4.5)
    made = results(found(operation))

    module.keep(kept, made)

    assert module.find_before(kept, "bench") == made


def test_each_command_is_compared_with_itself(tmp_path: Path) -> None:
    kept = tmp_path / "bench.json"
    module.keep(kept, results(command="bench"))
    module.keep(kept, results(command="bench-full", runs=3))

    before = [module.find_before(kept, command) for command in ("bench", "bench-full")]

    assert [one.runs for one in before if one is not None] == [1, 3]


@pytest.mark.parametrize("text", [None, "", "[]", "{", '{"bench": {"machine": 5}}'])
def test_what_cannot_be_read_is_no_run(tmp_path: Path, text: str | None) -> None:
    kept = tmp_path / "bench.json"
    if text is not None:
        kept.write_text(text)

    assert module.find_before(kept, "bench") is None


def test_medians_are_taken_for_each_figure_by_itself() -> None:
    runs = [
        found(
            measured(rate=rate, sql=sample(10 * rate), fresh={1: sample(rate / 2)}),
            start_seconds=rate / 100,
            loaded=[Memory(1, peak)],
        )
        for rate, peak in ((100.0, 50), (300.0, 90), (200.0, 70))
    ]

    together = module.medians(runs)

    (operation,) = together.operations
    assert operation.samples[8].rate == 200
    assert operation.sql is not None
    assert operation.sql.rate == 2000
    assert operation.fresh[1].rate == 100
    assert operation.frame is None
    assert (together.start_seconds, together.loaded) == (2, [Memory(1, 90)])


def test_an_operation_is_found_by_its_name_before_others_that_begin_so() -> None:
    made = found(measured("jobs/:id, 7 jobs, unchanged"), measured("jobs/:id, 7 jobs"), measured("one CTF row of 9"))

    names = [one.name for name in ("jobs/:id, 7 jobs", "one CTF row") if (one := made.find(name)) is not None]

    assert names == ["jobs/:id, 7 jobs", "one CTF row of 9"]
    assert made.find("no such") is None
