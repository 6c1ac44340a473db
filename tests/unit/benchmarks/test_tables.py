"""Results become tables: ratios to the limit, peers, the place in the README."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import tables
from benchmarks.ratios import ROOT, Result


def result(workload: str, side: str, wall: float, size: int = 1_000_000) -> Result:
    return Result(workload, side, size, wall, wall * 2, wall * (1 << 20), wall * (1 << 19))


def cells(table: str) -> list[list[str]]:
    """Rows without the head."""
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]


def test_full_table_shows_ratios_to_the_limit_of_the_same_workload() -> None:
    results = [result("join", "limit", 5), result("join", "local[2]", 6), result("narrow", "limit", 4)]
    rows = cells(tables.full_table(results))
    assert [row[:4] for row in rows] == [
        ["join", "1,000,000 records a side", "limit", "5.00"],
        ["join", "1,000,000 records a side", "local[2]", "6.00"],
        ["narrow", "1,000,000 records", "limit", "4.00"],
    ]
    assert [row[-3:] for row in rows] == [[""] * 3, ["**1.20**"] * 3, [""] * 3]


def test_full_table_without_a_limit_has_no_ratios() -> None:
    assert cells(tables.full_table([result("join", "local[2]", 6)]))[0][-3:] == ["", "", ""]


def test_what_took_no_time_has_no_ratio() -> None:
    quick = Result("join", "limit", 1000, 1, 0, 1, 1)
    assert cells(tables.full_table([quick, result("join", "local[2]", 6)]))[1][-2] == "**-**"


def test_full_table_tells_what_a_worker_may_have_where_that_is_little() -> None:
    assert "may have" in tables.full_table([result("sort4x", "limit", 5, 10_000_000)])
    assert "may have" not in tables.full_table([result("sort", "limit", 5, 10_000_000)])


def test_masters_table_compares_masters_with_the_local_one() -> None:
    results = [result("join", "local[2]", 5), result("join", "rdd://x", 10), result("join", "pyspark", 50)]
    rows = cells(tables.masters_table(results))
    assert rows == [["join", "rdd://x", "**2.00**", "**2.00**", "**2.00**", "+10.00 s"]]
    assert tables.masters_table(results[:1]) == ""


def test_readme_table_has_a_line_for_each_workload_that_both_sides_ended() -> None:
    results = [
        result("join", "limit", 5), result("join", "local[2]", 6), result("join", "pyspark", 40),
        result("narrow", "limit", 4), result("narrow", "local[2]", 4), result("mix", "limit", 4),
    ]  # fmt: skip
    text = tables.readme_table(results)
    assert cells(text) == [
        ["`join`", "1 million records a side", "5.0 s", "1.20", "1.20", "1.20", "1.30", "8.0"],
        ["`map`, `filter`, `map`", "1 million records", "4.0 s", "1.00", "1.00", "1.00", "1.15", "-"],
    ]
    assert "6.7 times as fast as PySpark on the geometric mean of 1 workloads" in text


def test_the_geometric_mean_is_over_what_both_ended_and_the_least_is_named() -> None:
    results = [
        result("join", "local[2]", 1), result("join", "pyspark", 2),
        result("mix", "local[2]", 1), result("mix", "pyspark", 8),
        result("narrow", "local[2]", 1),
    ]  # fmt: skip
    told = tables.times_faster(results, "pyspark")
    assert "4.0 times" in told
    assert "of 2 workloads" in told
    assert told.endswith("least on `join`: 2.0 times.")
    assert tables.times_faster(results, "dask") == ""


def test_a_block_takes_the_place_of_the_one_before() -> None:
    text = f"head\n{tables.BEGIN}old\nlines\n{tables.END}tail\n"
    assert tables.replaced(text, "new\n") == f"head\n{tables.BEGIN}new\n{tables.END}tail\n"


@pytest.mark.parametrize("text", ["", tables.BEGIN, tables.END, tables.END + tables.BEGIN])
def test_a_text_without_a_place_for_the_table_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no place for the table"):
        tables.replaced(text, "new")


def test_writing_changes_nothing_outside_the_markers(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(f"ä\n{tables.BEGIN}{tables.END}ö\n", encoding="utf-8")
    tables.write_readme(path, "table")
    assert path.read_text(encoding="utf-8") == f"ä\n{tables.BEGIN}table\n{tables.END}ö\n"


def test_the_readme_has_a_place_for_the_table() -> None:
    tables.replaced((ROOT / "README.md").read_text(encoding="utf-8"), "table")
