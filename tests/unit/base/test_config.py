"""Settings: known keys only, parsed once, immutable."""

from __future__ import annotations

import pytest

from rddlite.base.config import SETTINGS, Settings
from rddlite.errors import ConfigError


def test_every_default_is_accepted_as_a_value() -> None:
    given = {key: setting.default for key, setting in SETTINGS.items()}
    assert dict(Settings(given)) == dict(Settings())


def test_text_is_parsed_by_the_type_of_the_setting() -> None:
    settings = Settings({"driver.maxResultSize": "2m", "task.failFast": "no", "executor.silence": "500ms"})
    assert settings["driver.maxResultSize"] == 2 << 20
    assert settings["task.failFast"] is False
    assert settings["executor.silence"] == 0.5


def test_unknown_key_names_the_nearest() -> None:
    with pytest.raises(
        ConfigError, match=r"unknown setting 'driver.maxResultsSize'; did you mean 'driver.maxResultSize'"
    ):
        Settings({"driver.maxResultsSize": 1})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("driver.maxResultSize", "much"),
        ("task.maxFailures", "0"),
        ("task.maxDeaths", -1),
        ("task.failFast", "maybe"),
        ("executor.silence", "soon"),
        ("default.parallelism", "two"),
    ],
)
def test_bad_values_name_the_setting(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"setting '{key}' cannot be"):
        Settings({key: value})


def test_what_was_given_rebuilds_the_same_settings() -> None:
    settings = Settings({"task.maxDeaths": "7", "shuffle.codec": "zlib"})
    assert dict(Settings(settings.given)) == dict(settings)
    assert settings.is_set("task.maxDeaths")
    assert not settings.is_set("task.failFast")
