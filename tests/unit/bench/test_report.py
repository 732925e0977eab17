"""The page with the figures."""

from __future__ import annotations

from pathlib import Path

from tests.bench import report
from tests.bench.growth import Cost
from tests.unit.bench.made import found, measured, results, sample


def row(text: str, begin: str, number: int = 0) -> list[str]:
    lines = [line for line in text.splitlines() if line.startswith(f"| {begin}")]
    return [cell.strip() for cell in lines[number].strip("|").split("|")]


def test_an_operation_stands_beside_its_limits_and_the_run_before() -> None:
    limits = {"sql": sample(4000.0), "frame": sample(2000.0), "nginx": sample(8000.0)}
    now = results(found(measured("image", 1000.0, first_byte=2.5, fresh={8: sample(500.0, p50=16.0)}, **limits)))

    text = report.tables(now, results(found(measured("image", 900.0))))

    assert row(text, "image") == [
        "image",
        "1,000",
        "4.0",
        "9.0",
        "2.5",
        "500",
        "16.0",
        "800",
        "4,000",
        "25%",
        "2,000",
        "50%",
        "900: 4.0 / 9.0",
    ]
    assert "nginx sends the same file 8,000 times a second on 8 connections; the service reaches 12%" in text


def test_without_a_run_before_its_column_is_empty() -> None:
    text = report.tables(results(), None)

    assert row(text, "dc/:id", 1) == ["dc/:id", "2,000", "4.0", "9.0", *[""] * 3, "800", *[""] * 5]


def test_every_number_of_connections_has_a_column() -> None:
    operation = measured(samples={1: sample(100.0), 8: sample(500.0), 256: sample(400.0, errors=2)})

    text = report.tables(results(found(operation)), None)

    assert "| 1 connection | 8 connections | 256 connections |" in text
    assert row(text, "dc/:id", 2) == [
        "dc/:id", "100: 4.0 / 9.0", "500: 4.0 / 9.0", "400: 4.0 / 9.0, 2 errors",
    ]  # fmt: skip


def test_growth_has_a_line_for_each_question_at_every_size() -> None:
    small = found(costs=[Cost("a.py:find", 1, 0.2), Cost("b.py:list", 9, 1.0)], rows={"DataCollection": 10_000})
    large = found(costs=[Cost("a.py:find", 1, 0.3), Cost("c.py:new", 2, 1.0)])

    text = report.growth(results(small, large))

    assert row(text, "`a.py:find`") == ["`a.py:find`", "1", "0.20", "0.30", "1.5×"]
    assert row(text, "`c.py:new`") == ["`c.py:new`", "2", "", "1.00", ""]
    assert row(text, "dc/:id") == ["dc/:id", "2,000", "2,000"]


def test_what_people_wrote_on_the_page_stays(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    report.write(page, results(), None)
    page.write_text(page.read_text().replace(report.END, f"{report.END}\n\n## What did not pay\n\nThis.\n"))

    report.write(page, results(found(measured("dc/:id", 4321.0))), None)

    text = page.read_text()
    assert "## What did not pay\n\nThis.\n" in text
    assert "4,321" in text
    assert "2,000" not in text
    assert text.count("## What was promised") == 1


def test_a_run_at_one_size_leaves_the_growth_of_the_whole_bench(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    small = found(costs=[Cost("a.py:find", 1, 0.2)], rows={"DataCollection": 10_000})
    report.write(page, results(small, found(), command="bench-full"), None)

    report.write(page, results(), None)

    text = page.read_text()
    assert text.count("## Growth") == 1
    assert "Written by `make bench`." in text
