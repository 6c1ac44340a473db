"""What a context says of itself and of where it runs, and the few things of PySpark's that have little meaning here."""

from __future__ import annotations

import getpass
import logging
import sys
from typing import Any, ClassVar

from rddlite.api.session import Session
from rddlite.api.statustracker import StatusTracker
from rddlite.base.log import logger

_LEVELS = {
    "ALL": logging.NOTSET + 1,
    "TRACE": logging.DEBUG,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "ERROR": logging.ERROR,
    "FATAL": logging.CRITICAL,
    "OFF": logging.CRITICAL + 1,
}


class Surroundings(Session):
    """The mixin of `Context` for what is around it."""

    _system_properties: ClassVar[dict[str, str]] = {}

    def statusTracker(self) -> StatusTracker:
        """Which jobs and stages there are and how far they came, in the form of PySpark's. `jobs()` tells more.

        >>> sc.statusTracker().getActiveJobsIds()
        []
        """
        self._check_usable()
        return StatusTracker(self)

    def setLogLevel(self, logLevel: str) -> None:
        """Let rddlite's loggers in this process say what is at least so important.

        Args:
            logLevel: ALL, TRACE, DEBUG, INFO, WARN, ERROR, FATAL or OFF, in upper or lower case.

        Raises:
            ValueError: for any other level.

        >>> sc.setLogLevel("warn")
        """
        level = _LEVELS.get(str(logLevel).upper())
        if level is None:
            raise ValueError(f"setLogLevel: logLevel must be one of {', '.join(_LEVELS)}, not {logLevel!r}")
        logger("conf").parent.setLevel(level)  # type: ignore[union-attr]

    def sparkUser(self) -> str:
        """Who runs this program.

        >>> isinstance(sc.sparkUser(), str)
        True
        """
        return getpass.getuser()

    @property
    def uiWebUrl(self) -> str | None:
        """Where to look at this application in a browser: nowhere, so None. See `jobs()` and `executors`.

        >>> sc.uiWebUrl is None
        True
        """
        return None

    @property
    def resources(self) -> dict[str, Any]:
        """Resources beside processors that the driver has: none.

        >>> sc.resources
        {}
        """
        return {}

    @property
    def environment(self) -> dict[str, str]:
        """Variables for the environment of executors, as `Conf.setExecutorEnv` set them.

        >>> sc.environment
        {}
        """
        prefix = "spark.executorEnv."
        return {key[len(prefix) :]: value for key, value in self._conf.getAll() if key.startswith(prefix)}

    @property
    def sparkHome(self) -> str | None:
        """Where Spark is installed, as `Conf.setSparkHome` said; it is not needed.

        >>> sc.sparkHome is None
        True
        """
        return self._conf.get("spark.home")

    @property
    def pythonExec(self) -> str:
        """The Python that tasks run in: the driver's own.

        >>> sc.pythonExec == __import__("sys").executable
        True
        """
        return sys.executable

    @property
    def pythonVer(self) -> str:
        """The version of Python, as in `3.11`.

        >>> sc.pythonVer.startswith("3.")
        True
        """
        return f"{sys.version_info.major}.{sys.version_info.minor}"

    @classmethod
    def setSystemProperty(cls, key: str, value: str) -> None:
        """Remember a property for `getSystemProperty`; one of Spark's settings is a setting of contexts that are made
        later, where their `conf` does not say otherwise.

        >>> Context.setSystemProperty("purpose", "demo"); Context.getSystemProperty("purpose")
        'demo'
        """
        cls._system_properties[str(key)] = str(value)

    @classmethod
    def getSystemProperty(cls, key: str) -> str | None:
        """What `setSystemProperty` set, or None.

        >>> Context.getSystemProperty("never set") is None
        True
        """
        return cls._system_properties.get(key)
