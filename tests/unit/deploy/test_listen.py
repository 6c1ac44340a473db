"""Who may join a driver that listens, and where the keys are."""

from __future__ import annotations

import shlex
import stat
from pathlib import Path

import pytest

from rddlite.base.ids import ExecutorId
from rddlite.deploy.listen import JoiningProvider, KeyFile, join_command
from rddlite.driver.provider import ExecutorEnded
from rddlite.net.auth import ExecutorKeys, create_keys
from rddlite.storage.localdirs import create

A, B, C = ExecutorId("a"), ExecutorId("b"), ExecutorId("c")


@pytest.fixture
def keys() -> ExecutorKeys:
    return create_keys().for_executors()


@pytest.fixture
def provider(tmp_path: Path, keys: ExecutorKeys) -> JoiningProvider:
    provider = JoiningProvider(KeyFile(str(tmp_path / "keys"), keys), create("x", str(tmp_path / "base")), 2, "join")
    provider.start([].append)
    return provider


def test_there_is_room_for_so_many(provider: JoiningProvider) -> None:
    assert provider.objection(A, 0) is None
    assert provider.objection(B, 1) is None
    assert "there are 2 executors already" in str(provider.objection(C, 2))
    assert provider.objection(A, 1) is None, "it registers again"


def test_who_was_given_up_stays_out(provider: JoiningProvider) -> None:
    provider.stop(A)
    assert "executor a was given up as lost" in str(provider.objection(A, 0))
    assert provider.objection(B, 0) is None


def test_the_end_removes_keys_and_scratch(provider: JoiningProvider, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o600
    provider.close()
    assert not (tmp_path / "keys").exists()
    assert not list((tmp_path / "base").glob("*/app-*"))


def test_keys_of_another_application_are_left_alone(tmp_path: Path, keys: ExecutorKeys) -> None:
    path = tmp_path / "keys"
    first = KeyFile(str(path), keys)
    second = KeyFile(str(path), create_keys().for_executors())
    first.remove()
    assert path.exists()
    second.remove()
    second.remove()
    assert not path.exists()


def test_the_command_can_be_typed_into_a_shell() -> None:
    command = join_command("tcp://*:1", "/tmp/my keys")
    assert shlex.split(command) == ["rddlite", "executor", "--driver", "tcp://*:1", "--key-file", "/tmp/my keys"]


def test_who_was_found_gone_stays_out(provider: JoiningProvider) -> None:
    """As when it comes back with its old name after its host refused a connection by mistake."""
    provider.found_gone(ExecutorEnded(A, "refused"))
    assert "given up" in str(provider.objection(A, 0))
