from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.spec import AbstractBufferedFile

from rddlite.errors import PathNotFound, PathUnreadable, UnknownFilesystem, UsageError
from rddlite.fs import paths as paths_module
from rddlite.fs.paths import exists, expand, locate, open_read
from rddlite.fs.splits import FileInfo


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files that hold their own names, hidden ones and directories among them."""
    for name in [
        "a.txt", "b.txt", "c.gz", "_SUCCESS", ".hidden", "d[1].txt", "x,y",
        "logs/2020-01/p0", "logs/2020-01/p1", "logs/2020-01/_tmp", "logs/2020-02/p0", "logs/_old/p0", "logs/.new/p0",
        "mixed/f", "mixed/sub/g", "nested/sub/g",
    ]:  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "empty").mkdir()
    (tmp_path / "only_hidden").mkdir()
    (tmp_path / "only_hidden" / "_SUCCESS").touch()
    return tmp_path


def names(tree: Path, pattern: str, **kwargs: Any) -> list[str]:
    return [Path(info.path).relative_to(tree).as_posix() for info in expand(f"{tree}/{pattern}", **kwargs)]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("a.txt", ["a.txt"]),
        ("logs/2020-01", ["logs/2020-01/p0", "logs/2020-01/p1"]),
        ("logs/2020-01/", ["logs/2020-01/p0", "logs/2020-01/p1"]),
        ("mixed", ["mixed/f"]),
        ("empty", []),
        ("only_hidden", []),
        ("*.txt", ["a.txt", "b.txt", "d[1].txt"]),
        ("?.txt", ["a.txt", "b.txt"]),
        ("[ab].*", ["a.txt", "b.txt"]),
        ("{b,a}.txt", ["a.txt", "b.txt"]),
        ("{a,nope}.txt", ["a.txt"]),
        ("{a.txt,logs/2020-02}", ["a.txt", "logs/2020-02/p0"]),
        ("logs/*", ["logs/2020-01/p0", "logs/2020-01/p1", "logs/2020-02/p0"]),
        ("logs/*/p0", ["logs/.new/p0", "logs/2020-01/p0", "logs/2020-02/p0", "logs/_old/p0"]),
        ("l*/2020-0[2-9]/*", ["logs/2020-02/p0"]),
        ("{a,a}.txt", ["a.txt"]),
        (r"d\[1\].txt", ["d[1].txt"]),
        (r"x\,y", ["x,y"]),
        ("_SUCCESS", ["_SUCCESS"]),
        ("logs/_old", ["logs/_old/p0"]),
    ],
)
def test_what_a_path_means(tree: Path, pattern: str, found: list[str]) -> None:
    assert names(tree, pattern) == found


def test_files_come_with_size_and_codec(tree: Path) -> None:
    assert expand(f"{tree}/c.gz") == [FileInfo(f"{tree}/c.gz", 4, "gzip")]


def test_elements_of_a_list_keep_their_order_and_may_repeat(tree: Path) -> None:
    found = expand(f"{tree}/b.txt,{tree}/a.txt,{tree}/b.txt")
    assert [Path(info.path).name for info in found] == ["b.txt", "a.txt", "b.txt"]


@pytest.mark.parametrize("form", ["{}", "file:{}", "file://{}", "file://localhost{}"])
def test_forms_of_local_paths(tree: Path, form: str) -> None:
    url = form.format(f"{tree}/a.txt")
    assert expand(url)[0].path == f"{tree}/a.txt"
    assert exists(url)
    with open_read(url) as file:
        assert file.read() == b"a.txt"


def test_relative_paths_become_absolute_as_tasks_may_run_elsewhere(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    assert [info.path for info in expand("a.txt,logs/2020-02")] == [f"{tree}/a.txt", f"{tree}/logs/2020-02/p0"]


def test_a_file_url_with_a_host_is_refused_with_what_was_meant() -> None:
    with pytest.raises(UsageError, match="file:///data/x"):
        expand("file://data/x")


@pytest.mark.parametrize("pattern", ["nope", "nope/a.txt", "a.txt/b"])
def test_a_missing_path_is_an_error(tree: Path, pattern: str) -> None:
    with pytest.raises(PathNotFound, match=rf"^Input path does not exist: {tree}/{pattern}$") as caught:
        expand(f"{tree}/a.txt,{tree}/{pattern}")
    assert isinstance(caught.value, FileNotFoundError)


@pytest.mark.parametrize("pattern", ["nope*", "nope/*", "{x,y}", "a.txt/*", "only_hidden/*"])
def test_a_pattern_without_a_match_is_an_error(tree: Path, pattern: str) -> None:
    with pytest.raises(PathNotFound, match=r"^Input Pattern .* matches 0 files$"):
        expand(f"{tree}/{pattern}")


def test_a_directory_of_directories_is_refused_with_the_pattern_to_use(tree: Path) -> None:
    with pytest.raises(UsageError, match=r"nested/\*"):
        expand(f"{tree}/nested")


def test_dangling_links_are_skipped_and_links_followed(tree: Path) -> None:
    (tree / "links").mkdir()
    (tree / "links" / "dangling").symlink_to("nowhere")
    (tree / "links" / "good").symlink_to(tree / "a.txt")
    assert expand(f"{tree}/links") == [FileInfo(f"{tree}/links/good", 5, None)]


def test_a_device_is_no_input() -> None:
    with pytest.raises(UsageError, match="neither a file nor a directory"):
        expand("/dev/null")


def test_a_directory_without_permission_is_named(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> Any:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("rddlite.fs.local.os.scandir", refuse)
    with pytest.raises(PathUnreadable, match=f"no permission for {tree}/logs") as caught:
        expand(f"{tree}/logs")
    assert isinstance(caught.value, PermissionError)


def test_local_paths_never_load_fsspec(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    assert names(tree, "{a,b}.txt") == ["a.txt", "b.txt"]
    assert exists(f"file://{tree}/a.txt")
    open_read(f"file:{tree}/a.txt").close()
    with pytest.raises(UnknownFilesystem, match="pip install fsspec"):
        expand("s3://bucket/key")


def test_an_unknown_protocol_is_named() -> None:
    with pytest.raises(UnknownFilesystem, match="nosuch://"):
        expand("nosuch://x/y")


def test_a_known_protocol_names_the_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(UnknownFilesystem, match=r"gs://b/k cannot be used yet: .*gcsfs"):
        expand("gs://b/k")


class TestMemory:
    @pytest.fixture(autouse=True)
    def _files(self) -> Iterator[None]:
        system = fsspec.filesystem("memory")
        for name in ["/in/a", "/in/b.gz", "/in/_c", "/in/sub/d"]:
            system.pipe_file(name, name.encode())
        yield
        system.store.clear()
        system.pseudo_dirs[:] = [""]

    def test_refused_where_tasks_run_in_other_processes(self) -> None:
        with pytest.raises(UsageError, match="only in the process that made them"):
            expand("memory://in/a")
        with pytest.raises(UsageError, match="only in the process that made them"):
            expand("simplecache::memory://in/a")

    def test_listing_and_reading(self) -> None:
        found = expand("memory://in,memory://i?/su*/{d,e}", inline=True)
        assert [(info.path, info.size, info.codec) for info in found] == [
            ("memory://in/a", 5, None),
            ("memory://in/b.gz", 8, "gzip"),
            ("memory://in/sub/d", 9, None),
        ]
        with open_read(found[0].path) as file:
            assert file.read() == b"/in/a"

    def test_missing(self) -> None:
        with pytest.raises(PathNotFound, match="Input path does not exist: memory://in/x"):
            expand("memory://in/x", inline=True)
        with pytest.raises(PathNotFound, match="matches 0 files"):
            expand("memory://in/x*", inline=True)
        with pytest.raises(PathNotFound, match="/in/x"):
            open_read("memory://in/x")

    def test_what_was_listed_before_does_not_hide_what_came_since(self) -> None:
        assert not exists("memory://in/new")
        fsspec.filesystem("memory").pipe_file("/in/new", b"")
        assert exists("memory://in/new")


def test_files_in_a_zip(tmp_path: Path) -> None:
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("d/a.txt", "one\n")
        file.writestr("d/b.txt", "two\n")
    found = expand(f"zip://d/*.txt::file://{archive}")
    assert [info.path for info in found] == [f"zip://d/{name}.txt::file://{archive}" for name in "ab"]
    with open_read(found[1].path) as file:
        assert file.read() == b"two\n"


class FakeSystem:
    """The few methods of an fsspec file system that reading uses."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def invalidate_cache(self) -> None: ...

    def info(self, path: str) -> dict[str, Any]:
        if self.error:
            raise self.error
        return {"name": path, "size": 3, "type": "file"}

    def ls(self, path: str, detail: bool) -> list[dict[str, Any]]:
        assert detail
        return [
            {"name": f"{path}/", "size": 0, "type": "file"},
            {"name": f"{path}/f", "size": 1, "type": "file"},
            {"name": f"{path}/d/", "size": 0, "type": "directory"},
        ]


def test_a_directory_marker_is_no_file() -> None:
    store = paths_module.RemoteFiles(FakeSystem(), "s3")
    assert [entry.name for entry in store.listing("b/dir")] == ["d", "f"]


def test_what_a_store_refuses_is_named() -> None:
    store = paths_module.RemoteFiles(FakeSystem(PermissionError("Access Denied")), "s3")
    with pytest.raises(PathUnreadable, match="no permission for b/k"):
        store.entry("b/k")


def test_giving_up_a_file_does_not_complete_its_upload() -> None:
    class Upload(AbstractBufferedFile):
        def __init__(self) -> None:
            self.closed, self.events = False, list[str]()

        def discard(self) -> None:
            self.events.append("discard")

        def close(self) -> None:
            self.events.append("close")

    class System(FakeSystem):
        def rm_file(self, path: str) -> None:
            raise FileNotFoundError(path)

    file = Upload()
    paths_module.RemoteFiles(System(), "s3").discard(file, "b/k")
    assert file.closed
    assert file.events == ["discard"]


def test_urls_of_web_servers_are_no_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    place = paths_module.Place(paths_module.RemoteFiles(FakeSystem(), "https"), "https://h/q?x=[1]", "", "")
    monkeypatch.setattr(paths_module, "locate", lambda *args, **kwargs: place)
    assert expand("https://h/q?x=[1]") == [FileInfo("https://h/q?x=[1]", 3, None)]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3a://b/k", {"key": "K"}),
        ("s3://b/k", {"key": "K"}),
        ("memory://k", {}),
    ],
)
def test_options_go_to_their_protocol_alone(
    monkeypatch: pytest.MonkeyPatch, url: str, expected: dict[str, Any]
) -> None:
    seen: dict[str, Any] = {}

    def url_to_fs(url: str, **options: Any) -> tuple[Any, str]:
        seen.update(options)
        return FakeSystem(), url.partition("://")[2]

    monkeypatch.setattr("fsspec.core.url_to_fs", url_to_fs)
    monkeypatch.setattr(paths_module, "_require", lambda protocol, url: None)
    place = locate(url, {"s3": {"key": "K"}, "gs": {"token": "T"}})
    assert seen == expected
    assert place.url(place.path) == url
