"""`rddlite shell`: a prompt with a context named `sc`, by IPython where that is installed."""

from __future__ import annotations

import argparse
import code
import importlib.util
import os
import sys
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
    os.environ[SUBMITTED] = environment(options, collect(options, dict(os.environ)), {})[SUBMITTED]
    names: dict[str, Any] = {}
    if options.pyspark:
        pass
    with Context() as sc:
        names |= {"__name__": "__main__", "sc": sc, "Context": Context}
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
