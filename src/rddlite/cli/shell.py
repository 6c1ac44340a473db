"""`rddlite shell`: a prompt with a context named `sc`, by IPython where that is installed."""

from __future__ import annotations

import argparse
import code
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from typing import Any

from rddlite.api.context import Context
from rddlite.api.origins import SUBMITTED
from rddlite.cli.submit import collect, environment
from rddlite.version import __version__


def run_shell(options: argparse.Namespace) -> int:
    """Start a context, talk, and stop it; the exit code.

    Raises:
        ConfigError: for settings that cannot be read.
    """
    given = environment(options, collect(options, dict(os.environ)), {})
    os.environ[SUBMITTED] = given[SUBMITTED]
    sys.path[:0] = [folder for folder in given.get("PYTHONPATH", "").split(os.pathsep) if folder]
    names: dict[str, Any] = {"__name__": "__main__", "Context": Context, "SparkContext": Context}
    start: Callable[[], Context] = Context
    if options.pyspark:
        importlib.import_module("rddlite.compat.pyspark")  # from here on the name means rddlite
        start = importlib.import_module("pyspark").SparkContext
        names |= {"SparkContext": start, "SparkSession": importlib.import_module("pyspark.sql").SparkSession}
    with start() as sc:
        names["sc"] = sc
        if options.pyspark:
            names["spark"] = names["SparkSession"](sc)
        banner = f"rddlite {__version__}: sc is {sc!r}. Ctrl-D ends the session."
        if not options.plain and importlib.util.find_spec("IPython") is not None:
            _ipython(names, banner)
        else:
            _plain(names, banner)
    return 0


def _ipython(names: dict[str, Any], banner: str) -> None:
    from IPython import start_ipython
    from traitlets.config import Config

    config = Config()
    config.TerminalInteractiveShell.banner2 = banner + "\n"
    start_ipython(argv=[], user_ns=names, config=config)


def _plain(names: dict[str, Any], banner: str) -> None:
    main = vars(sys.modules["__main__"])
    # What is typed is the main module: its functions and classes travel to tasks by value, as those of a script do.
    main.update(names)
    try:
        import readline
        import rlcompleter
    except ImportError:
        pass
    else:
        readline.set_completer(rlcompleter.Completer(main).complete)
        readline.parse_and_bind("tab: complete")
    code.interact(banner, local=main, exitmsg="")
