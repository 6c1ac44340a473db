from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rddlite.base.metrics import TaskMetrics
from rddlite.errors import CorruptInput, PathNotFound
from rddlite.fs import lines as lines_module
from rddlite.fs.codecs import Counts
from rddlite.fs.lines import read_lines, read_portions
from rddlite.fs.local import LocalFiles
from rddlite.fs.splits import FileSplit

# Line ends, things that look like line ends and are none, text of every width, bytes that are no UTF-8, a long line.
PIECES = [
    b"\n", b"\r", b"\r\n", b"a", b"bc ", "é".encode(), "漢".encode(), "😀".encode(), b"x" * 20,
    b"\x0b", b"\x0c", b"\x1c", b"\x1d", b"\x1e", b"\x85", "\x85".encode(), "\u2028".encode(), "\u2029".encode(),
    b"\xff", b"\xe6\xbc", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\0",
]  # fmt: skip
contents = st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join)


def reference(data: bytes) -> list[bytes]:
    """The lines of a file, by the rule and nothing else."""
    found = re.split(rb"\r\n|\r|\n", data.removeprefix(b"\xef\xbb\xbf"))
    return found if found[-1] else found[:-1]


def read(data: bytes, start: int, end: int | None, use_unicode: bool = True) -> list[Any]:
    batches = list(read_lines(FileSplit("/f", start, end, None), use_unicode, opener=lambda path: io.BytesIO(data)))
    assert all(batches), "a batch is never empty"
    return list(itertools.chain.from_iterable(batches))


@pytest.fixture(scope="class", params=[(1, 1, 0), (2, 3, 1), (7, 7, 3), (64 << 10, 256 << 10, 16 << 10)], ids=str)
def _blocks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Blocks so small that everything straddles their ends, and the real ones."""
    first, largest, overhang = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "_FIRST_BLOCK", first)
        patch.setattr(lines_module, "_OVERHANG", overhang)
        patch.setattr(LocalFiles, "block_bytes", largest)
        yield


@pytest.mark.usefixtures("_blocks")
class TestCuts:
    @given(contents, st.booleans())
    def test_every_two_neighbouring_ranges_give_each_line_once(self, data: bytes, use_unicode: bool) -> None:
        want: list[Any] = reference(data)
        if use_unicode:
            want = [line.decode("utf-8", "replace") for line in want]
        for cut in range(len(data) + 1):
            got = read(data, 0, cut, use_unicode) + read(data, cut, len(data), use_unicode)
            assert got == want, cut

    @given(contents, st.lists(st.integers(0, 700), max_size=12))
    def test_any_cuts_give_each_line_once(self, data: bytes, at: list[int]) -> None:
        bounds = sorted({0, len(data), *(i for i in at if i < len(data))})
        got = [line for start, end in itertools.pairwise(bounds) for line in read(data, start, end, False)]
        assert got == reference(data)

    @given(contents)
    @example(b"a\r\nb\r\n\r\nc")
    @example(b"\xef\xbb\xbfa\nb")
    def test_ranges_of_one_byte_give_each_line_to_the_byte_it_starts_at(self, data: bytes) -> None:
        got = [read(data, i, i + 1, False) for i in range(len(data))]
        assert list(itertools.chain.from_iterable(got)) == reference(data)
        assert all(len(lines) <= 1 for lines in got)

    @given(contents)
    def test_a_file_of_unknown_size_is_read_to_its_end(self, data: bytes) -> None:
        assert read(data, 0, None, False) == reference(data)


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_a_large_file_through_real_blocks(tmp_path: Path, newline: bytes) -> None:
    path = tmp_path / "large"
    want = [f"{i} é {'x' * (i % 300)}" for i in range(20_000)]
    path.write_bytes(newline.join(line.encode() for line in want))
    size = path.stat().st_size
    assert size > 2 << 20
    bounds = [0, 100, 70_000, 70_001, 1_000_000, size]
    got = [
        line
        for start, end in itertools.pairwise(bounds)
        for batch in read_lines(FileSplit(str(path), start, end, None))
        for line in batch
    ]
    assert got == want


def test_a_line_over_many_ranges_belongs_to_the_first(tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_bytes(b"a\n" + b"y" * 3_000_000 + b"\nb\n")
    bounds = [0, 1_000_000, 2_000_000, 3_000_000, 3_000_005]
    got = [
        [len(line) for batch in read_lines(FileSplit(str(path), start, end, None)) for line in batch]
        for start, end in itertools.pairwise(bounds)
    ]
    assert got == [[1, 3_000_000], [], [], [1]]


def test_the_first_batch_is_small_and_bytes_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"0123456\n" * 200_000)
    metrics = TaskMetrics()
    batches = read_lines(FileSplit(str(path), 0, 1_600_000, None), True, metrics)
    assert len(next(batches)) <= 8192
    assert metrics.bytes_read <= 64 << 10
    assert sum(map(len, batches)) > 0
    assert metrics.bytes_read == 1_600_000


def test_a_range_reads_little_beyond_its_end(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"0123456\n" * 1_000_000)
    counts = Counts()
    found = sum(map(len, read_lines(FileSplit(str(path), 800_000, 1_600_000, None), True, counts)))
    assert found == 100_000
    assert counts.bytes_read <= 800_000 + (17 << 10)


def portions_of(path: Path, n: int, **how: Any) -> tuple[list[list[Any]], float, int]:
    counts = Counts()
    found = read_portions(FileSplit(str(path), 0, path.stat().st_size, None), n, counts=counts, **how)
    assert found is not None
    return list(found[0]), found[1], counts.bytes_read


@pytest.mark.parametrize("use_unicode", [True, False])
def test_portions_are_whole_lines_from_all_over_the_file(tmp_path: Path, use_unicode: bool) -> None:
    path = tmp_path / "f"
    lines = [f"{i:07d} {'x' * (i % 90)}" for i in range(100_000)]
    path.write_text("\n".join(lines))
    batches, times, n_read = portions_of(path, 40, use_unicode=use_unicode)
    texts = [[line if use_unicode else line.decode() for line in batch] for batch in batches]
    numbers = [int(text.split()[0]) for some in texts for text in some]
    assert all(text == lines[int(text.split()[0])] for some in texts for text in some)
    assert numbers == sorted(set(numbers))
    assert abs(len(numbers) * times - len(lines)) < len(lines) / 20
    assert max(b - a for a, b in itertools.pairwise([0, *numbers, len(lines)])) < 2 * len(lines) / 40
    assert n_read < path.stat().st_size / 4


def test_to_find_where_long_lines_start_little_is_read(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes((b"x" * 999_999 + b"\n") * 6)
    batches, _, n_read = portions_of(path, 32)
    assert len(batches) <= 6
    assert n_read < 3_000_000


@pytest.mark.parametrize(
    "split",
    [
        FileSplit("/f", 0, 1 << 20, None),
        FileSplit("/f", 0, None, None),
        FileSplit("/f", 0, None, "gzip"),
        FileSplit("memory://f", 0, 1 << 40, None),
    ],
    ids=["small", "of unknown size", "compressed", "elsewhere"],
)
def test_portions_are_not_read_where_that_saves_little(split: FileSplit) -> None:
    assert read_portions(split, 32) is None


def test_closing_the_iterator_closes_the_file() -> None:
    file = io.BytesIO(b"a\n" * 100_000)
    batches = read_lines(FileSplit("/f", 0, 200_000, None), opener=lambda path: file)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert file.closed


def test_a_file_that_shrank_is_an_error_and_not_an_end() -> None:
    with pytest.raises(CorruptInput, match="ends at byte 4"):
        read(b"a\nb\n", 0, 10)
    with pytest.raises(CorruptInput, match="ends at byte 4"):
        read(b"a\nb\n", 3, 10)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PathNotFound, match="gone"):
        next(iter(read_lines(FileSplit(str(tmp_path / "gone"), 0, 1, None))))
