"""Keys as text and as files: nothing but what was written is read back, and no secret is shown."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.errors import AuthRefused
from rddlite.net.auth import DriverKeys, ExecutorKeys, KeyPair, create_keys, read_key_file, write_key_file

if TYPE_CHECKING:
    from pathlib import Path

KEYS = create_keys()
TOLD = KEYS.for_executors()
GOOD = json.loads(TOLD.to_json())


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "app.key"
    write_key_file(str(path), TOLD)
    return path


def test_every_application_has_its_own_keys():
    other = create_keys()
    pairs = [KEYS.driver, KEYS.executors, other.driver, other.executors]
    assert len({half for pair in pairs for half in (pair.public, pair.secret)}) == 8


def test_executors_are_told_nothing_of_the_drivers_secret():
    assert ExecutorKeys(KEYS.driver.public, KEYS.executors) == TOLD
    assert KEYS.driver.secret not in TOLD.to_json()


def test_keys_survive_their_text():
    assert ExecutorKeys.from_json(TOLD.to_json()) == TOLD
    assert "\n" not in TOLD.to_json()


def test_secrets_are_not_shown():
    for shown in (repr(KEYS), str(TOLD), f"{KEYS.driver}"):
        assert KEYS.driver.secret not in shown
        assert KEYS.executors.secret not in shown


@pytest.mark.parametrize(
    "changed",
    [
        {"driver": None},
        {"driver": 5},
        {"driver": ""},
        {"driver": "x" * 40 + "yyyyy"},
        {"driver": '"' * 40},
        {"driver": "#" * 40},
        {"driver": "é" * 40},
        {"public": KEYS.driver.public},
        {"public": []},
        {"secret": KEYS.driver.secret},
        {"secret": "short"},
        {"secret": "\ud800" * 40},
        {"secret": {}},
    ],
    ids=lambda changed: next(iter(changed), "nothing"),
)
def test_text_with_other_keys_is_refused(changed):
    text = json.dumps({**GOOD, **changed})
    with pytest.raises(AuthRefused, match="no keys of an application") as raised:
        ExecutorKeys.from_json(text)
    assert KEYS.executors.secret not in str(raised.value)


@pytest.mark.parametrize("missing", GOOD)
def test_incomplete_text_is_refused(missing):
    with pytest.raises(AuthRefused):
        ExecutorKeys.from_json(json.dumps({key: value for key, value in GOOD.items() if key != missing}))


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_any_other_text_is_refused(text):
    with pytest.raises(AuthRefused):
        ExecutorKeys.from_json(text)


def test_deep_text_is_refused():
    with pytest.raises(AuthRefused):
        ExecutorKeys.from_json("[" * 100_000)


def test_a_key_file_is_closed_and_read_back(key_file):
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert read_key_file(str(key_file)) == TOLD
    assert os.listdir(key_file.parent) == [key_file.name]


def test_a_key_file_is_replaced_as_a_whole(key_file):
    key_file.chmod(0o644)
    other = create_keys().for_executors()
    write_key_file(str(key_file), other)
    assert read_key_file(str(key_file)) == other
    assert key_file.stat().st_mode & 0o777 == 0o600


def test_a_link_in_the_place_of_the_key_file_leads_no_secret_elsewhere(tmp_path):
    target = tmp_path / "readable"
    target.touch()
    (tmp_path / "app.key").symlink_to(target)
    write_key_file(str(tmp_path / "app.key"), TOLD)
    assert target.read_text() == ""
    assert read_key_file(str(tmp_path / "app.key")) == TOLD


def test_a_file_that_cannot_be_written_is_told_and_leaves_nothing(tmp_path):
    with pytest.raises(AuthRefused, match=r"cannot be written: No such file"):
        write_key_file(str(tmp_path / "absent" / "app.key"), TOLD)
    (tmp_path / "folder").mkdir()
    with pytest.raises(AuthRefused, match=r"cannot be written: Is a directory"):
        write_key_file(str(tmp_path / "folder"), TOLD)
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o666, 0o777])
def test_a_key_file_open_to_others_is_refused(key_file, mode):
    key_file.chmod(mode)
    with pytest.raises(AuthRefused, match=f"mode {mode:04o}.: chmod 600 {key_file}"):
        read_key_file(str(key_file))


def test_a_key_file_of_somebody_else_is_refused(key_file, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    if key_file.stat().st_uid == 0:
        assert read_key_file(str(key_file)) == TOLD  # who is root reads everything anyway
        os.chown(key_file, 54321, -1)
    with pytest.raises(AuthRefused, match="must belong to this user or root"):
        read_key_file(str(key_file))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"", "holds no keys"), (b"\xff" * 100, "holds no keys"), (b"{}", "holds no keys"), (b"x" * 5000, "too large")],
)
def test_a_file_of_something_else_is_refused(key_file, content, complaint):
    key_file.write_bytes(content)
    with pytest.raises(AuthRefused, match=complaint):
        read_key_file(str(key_file))


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(AuthRefused, match="no regular file"):
        read_key_file(str(tmp_path / "pipe"))
    with pytest.raises(AuthRefused, match="no regular file"):
        read_key_file(str(tmp_path))
    with pytest.raises(AuthRefused, match="cannot be read: No such file"):
        read_key_file(str(tmp_path / "absent"))


def test_keys_are_compared_by_value():
    same = DriverKeys(KeyPair(*_halves(KEYS.driver)), KeyPair(*_halves(KEYS.executors)))
    assert same == KEYS


def _halves(pair: KeyPair) -> tuple[str, str]:
    return pair.public, pair.secret
