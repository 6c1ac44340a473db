"""Settings become options, or an error that says what is allowed."""

from __future__ import annotations

import pytest

from rddlite.base.config import Settings
from rddlite.errors import ConfigError
from rddlite.schedule.options import PoolOptions, SchedulerOptions


def options(**settings: str) -> SchedulerOptions:
    """From settings whose dots are written as underscores."""
    return SchedulerOptions.from_settings(Settings({key.replace("_", "."): value for key, value in settings.items()}))


def test_what_nobody_set() -> None:
    assert options() == SchedulerOptions()


def test_every_setting_arrives() -> None:
    found = options(
        locality_wait="2s", executor_drainLimit="5s", exclude_enabled="no", exclude_after="4", exclude_halfLife="10s",
        speculation="no", speculation_quantile="0.5", speculation_multiplier="3", speculation_minimum="5s",
    )  # fmt: skip
    assert found == SchedulerOptions(
        locality_wait=2.0, drain_limit=5.0, exclude=False, exclude_after=4.0, exclude_half_life=10.0,
        speculation=False, speculation_quantile=0.5, speculation_multiplier=3.0, speculation_minimum=5.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("heartbeat", "silence", "quiet"),
    [("1s", "15s", 3.0), ("2s", "15s", 6.0), ("50ms", "15s", 3.0), ("7s", "15s", 11.0), ("1s", "2s", 1.5)],
)
def test_quiet_is_some_heartbeats_and_less_than_silence(heartbeat: str, silence: str, quiet: float) -> None:
    assert options(executor_heartbeat=heartbeat, executor_silence=silence).quiet == quiet


def test_heartbeats_must_be_shorter_than_silence() -> None:
    with pytest.raises(ConfigError, match=r"executor.heartbeat \(2s\) must be shorter than executor.silence \(1s\)"):
        options(executor_heartbeat="2s", executor_silence="1s")


def test_fair_pools() -> None:
    found = options(scheduler_mode="fair", scheduler_pools='{"etl": {"weight": 2, "minShare": 4}, "adhoc": {}}')
    assert found.mode == "FAIR"
    assert found.pools == (PoolOptions("etl", 2, 4), PoolOptions("adhoc"))
    assert found.launch_ahead == 1, "what queues at an executor comes before all pools that come later"
    assert options(scheduler_mode="FIFO", scheduler_launchAhead="7").launch_ahead == 7


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "must be a JSON object of pools"),
        ("[]", "must be a JSON object of pools"),
        ('{"a": 3}', "pool 'a' may have a weight and a minShare"),
        ('{"a": {"wieght": 3}}', "pool 'a' may have a weight and a minShare"),
        ('{"a": {"weight": 0}}', "weight must be a whole number from 1 up, not 0"),
        ('{"a": {"weight": 1.5}}', "weight must be a whole number from 1 up, not 1.5"),
        ('{"a": {"weight": true}}', "weight must be a whole number from 1 up, not True"),
        ('{"a": {"minShare": -1}}', "minShare must be a whole number from 0 up, not -1"),
    ],
)
def test_pools_that_cannot_be(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        options(scheduler_pools=text)


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("scheduler.mode", "LIFO", "must be FIFO or FAIR"),
        ("speculation.quantile", "0", "must be above 0 and at most 1"),
        ("speculation.quantile", "1.5", "must be above 0 and at most 1"),
        ("speculation.multiplier", "0.5", "must be 1 or more"),
        ("exclude.after", "0", "must be 1 or more"),
        ("exclude.halfLife", "0", "must be more than no time"),
    ],
)
def test_values_that_cannot_be(key: str, value: str, why: str) -> None:
    with pytest.raises(ConfigError, match=f"setting '{key}' cannot be '{value}': {why}"):
        Settings({key: value})
