"""`rddlite check`: tell what of PySpark a script uses that rddlite does not cover."""

from __future__ import annotations

import argparse
import os
import tokenize
from collections.abc import Iterator

from rddlite.compat.pyspark.reader import Finding, findings
from rddlite.errors import PathNotFound, UsageError


def run_check(options: argparse.Namespace) -> int:
    """Print one line for each use; the exit code: 1 if there was any.

    Raises:
        PathNotFound: for a script that is not there.
        UsageError: for one that is no Python.
    """
    files = [file for path in options.scripts for file in _files(path)]
    n_found = 0
    for file in files:
        for found in _findings(file):
            print(f"{file}:{found.line}:{found.column}: {found.text}")
            n_found += 1
    scripts = "1 script" if len(files) == 1 else f"{len(files)} scripts"
    print(f"{scripts}: {f'{n_found} not covered' if n_found else 'all that was recognised is covered'}")
    return 1 if n_found else 0


def _findings(file: str) -> list[Finding]:
    try:
        with tokenize.open(file) as script:
            return findings(script.read())
    except OSError as error:
        raise PathNotFound(f"{file}: {error.strerror or error}") from None
    except (SyntaxError, UnicodeDecodeError, ValueError) as error:
        raise UsageError(f"{file} is not Python: {error}") from None


def _files(path: str) -> Iterator[str]:
    if not os.path.isdir(path):
        yield path
        return
    for folder, folders, names in sorted(os.walk(path)):
        folders[:] = [each for each in folders if not each.startswith(".")]
        yield from (os.path.join(folder, name) for name in sorted(names) if name.endswith(".py"))
